//! The whole network.

use candle_core::{DType, Device, Tensor};
use unetr::model::{
    BlockKind, Mode, NormConfig, Parameters, Precision, SegmentationModel as _, Unetr, UnetrConfig,
    with_precision,
};
use unetr::ops::backward;
use unetr::train::{
    AdamConfig, Loss, MuonConfig, Optimizer, OptimizerConfig, ParameterGroups, Recipe, SumLoss,
};

use super::gpu;

/// A small network whose maps have 16 channels and more, as the presets have.
fn config() -> UnetrConfig {
    UnetrConfig {
        feature_size: 16,
        hidden_size: 48,
        mlp_size: 96,
        auxiliary_heads: true,
        ..UnetrConfig::tiny().with_image_size([32, 64])
    }
}

/// Two images with a bright rectangle that is the pet, and their masks.
fn batch(device: &Device) -> (Tensor, Tensor) {
    let inside = |i: usize, x: usize, y: usize| {
        (8 + 4 * i..20 + 4 * i).contains(&y) && (10..40).contains(&x)
    };
    let places = || (0..32).flat_map(|y| (0..64).map(move |x| (x, y)));
    let (mut images, mut masks) = (Vec::new(), Vec::new());
    for i in 0..2 {
        for channel in 0..3 {
            images.extend(places().map(|(x, y)| {
                let noise = ((x * 31 + y * 17 + channel * 7 + i) % 13) as f32 / 13.;
                match inside(i, x, y) {
                    true => 0.6 + 0.4 * noise,
                    false => 0.5 * noise - 0.5,
                }
            }));
        }
        masks.extend(places().map(|(x, y)| match inside(i, x, y) {
            true => 0u8,
            false => 1 + u8::from(x > 50),
        }));
    }
    (
        Tensor::from_vec(images, (2, 3, 32, 64), device).unwrap(),
        Tensor::from_vec(masks, (2, 32, 64), device).unwrap(),
    )
}

struct Network {
    parameters: Parameters,
    model: Unetr,
}

impl Network {
    fn new(device: &Device) -> Self {
        let parameters = Parameters::new(3, DType::F32, device);
        let model = Unetr::new(&config(), parameters.var_builder()).unwrap();
        Self { parameters, model }
    }

    fn loss(&self, device: &Device, precision: Precision) -> (Tensor, Tensor) {
        let (images, masks) = batch(device);
        let forward = || {
            self.model
                .forward_training(&images, Mode::Train { seed: 1 })
        };
        let output = with_precision(precision, forward).unwrap();
        let mut loss = SumLoss::tutorial()
            .compute(&output.logits, &masks)
            .unwrap()
            .total;
        for logits in &output.auxiliary {
            let square = logits.to_dtype(DType::F32).unwrap().sqr().unwrap();
            loss = (loss + square.mean_all().unwrap()).unwrap();
        }
        (output.logits, loss)
    }
}

fn values(xs: &Tensor) -> Vec<f32> {
    let xs = xs.to_dtype(DType::F32).unwrap();
    xs.flatten_all().unwrap().to_vec1().unwrap()
}

/// The length of the difference of two tensors, of that of the second.
fn off(found: &Tensor, expected: &Tensor) -> f32 {
    let (found, expected) = (values(found), values(expected));
    let length = |xs: Vec<f32>| xs.iter().map(|x| x * x).sum::<f32>().sqrt();
    let difference = found.iter().zip(&expected).map(|(x, y)| x - y).collect();
    length(difference) / length(expected).max(1e-20)
}

/// The logits and the gradients of all parameters.
fn step(network: &Network, device: &Device, precision: Precision) -> Vec<(String, Tensor)> {
    let (logits, loss) = network.loss(device, precision);
    let gradients = backward(&loss).unwrap();
    let mut all = vec![("logits".to_owned(), logits)];
    all.extend(
        network
            .parameters
            .trainable()
            .into_iter()
            .map(|(name, var)| {
                let gradient = gradients.get(&var).unwrap().clone();
                (name, gradient)
            }),
    );
    all
}

/// What rounding the parameters alone changes on the CPU.
fn rounding(dtype: DType, expected: &[(String, Tensor)]) -> Vec<f32> {
    let cpu = Network::new(&Device::Cpu);
    for (_, var) in cpu.parameters.trainable() {
        let rounded = var.as_detached_tensor().to_dtype(dtype).unwrap();
        let rounded = rounded.to_dtype(DType::F32).unwrap();
        var.set(&rounded.copy().unwrap()).unwrap();
    }
    let found = step(&cpu, &Device::Cpu, Precision::Full);
    let pairs = found.iter().zip(expected);
    pairs
        .map(|((_, found), (_, expected))| off(found, expected))
        .collect()
}

#[test]
fn a_step_on_a_gpu_is_that_of_the_cpu() {
    let Some(device) = gpu() else { return };
    let expected = step(&Network::new(&Device::Cpu), &Device::Cpu, Precision::Full);
    let mut failures = Vec::new();
    for (precision, dtype, intermediates) in [
        (Precision::Full, DType::F32, 1e-4),
        (Precision::Tf32, DType::F16, 0.01),
        (Precision::F16, DType::F16, 0.01),
        (Precision::Bf16, DType::BF16, 0.08),
    ] {
        let found = step(&Network::new(&device), &device, precision);
        let rounding = rounding(dtype, &expected);
        let (mut worst, mut allowed) = (("", 0.), 0.);
        for (((name, found), (_, expected)), rounding) in found.iter().zip(&expected).zip(rounding)
        {
            let (off, bound) = (off(found, expected), intermediates + 4. * rounding);
            if off.is_nan() || off > bound {
                failures.push(format!(
                    "{precision}: {name} is off by {off:.1e}, allowed {bound:.1e}"
                ));
            }
            if off > worst.1 {
                (worst, allowed) = ((name.as_str(), off), bound);
            }
        }
        println!(
            "{precision}: {} is off by {:.1e}, allowed {allowed:.1e}",
            worst.0, worst.1
        );
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn networks_of_other_kinds_have_the_losses_of_the_cpu() {
    let Some(device) = gpu() else { return };
    let loss = Recipe::small().loss.build().unwrap();
    let kinds = [
        UnetrConfig {
            classes: 21,
            ..config()
        },
        UnetrConfig {
            norm: NormConfig::BATCH_PYTORCH,
            ..config()
        },
        UnetrConfig {
            block: BlockKind::Basic,
            ..config()
        },
    ];
    for cfg in kinds {
        let compute = |device: &Device, precision| -> f32 {
            let parameters = Parameters::new(3, DType::F32, device);
            let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
            let (images, masks) = batch(device);
            let forward = || model.forward_training(&images, Mode::Train { seed: 1 });
            let output = with_precision(precision, forward).unwrap();
            let mut total = loss.compute(&output.logits, &masks).unwrap().total;
            for logits in &output.auxiliary {
                let square = logits.to_dtype(DType::F32).unwrap().sqr().unwrap();
                total = (total + square.mean_all().unwrap()).unwrap();
            }
            backward(&total).unwrap();
            total.to_scalar().unwrap()
        };
        let expected = compute(&Device::Cpu, Precision::Full);
        for precision in [Precision::Full, Precision::Bf16, Precision::F16] {
            let found = compute(&device, precision);
            let off = (found - expected).abs();
            assert!(
                off < 0.05 * expected,
                "{precision}: {found}, on the CPU {expected}: {cfg:?}"
            );
        }
    }
}

#[test]
fn training_with_adam_follows_the_cpu() {
    training_follows_the_cpu(&OptimizerConfig::Adam(AdamConfig::default()), 2e-3);
}

#[test]
fn training_with_muon_follows_the_cpu() {
    // A GPU makes its updates orthogonal in bf16.
    training_follows_the_cpu(&OptimizerConfig::Muon(MuonConfig::default()), 0.02);
}

fn training_follows_the_cpu(optimizer: &OptimizerConfig, exact: f32) {
    let Some(device) = gpu() else { return };
    let train = |device: &Device, precision| -> Vec<f32> {
        let network = Network::new(device);
        let parameters = network.parameters.trainable();
        let groups = ParameterGroups::default();
        let mut optimizer = optimizer.build(parameters, &groups).unwrap();
        let steps = (0..12).map(|_| {
            let (_, loss) = network.loss(device, precision);
            optimizer.minimise(&loss, 1e-3).unwrap();
            loss.to_scalar().unwrap()
        });
        steps.collect()
    };
    let expected = train(&Device::Cpu, Precision::Full);
    assert!(expected[11] < 0.8 * expected[0], "{expected:?}");
    for (precision, bound) in [
        (Precision::Full, exact),
        (Precision::Tf32, 0.03),
        (Precision::Bf16, 0.06),
    ] {
        let found = train(&device, precision);
        println!("{precision}: {found:?}");
        for (found, expected) in found.iter().zip(&expected) {
            let off = (found - expected).abs();
            assert!(
                off < bound * expected.abs(),
                "{precision}: {found} instead of {expected}"
            );
        }
    }
}
