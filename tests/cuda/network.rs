//! The whole network.

use candle_core::{DType, Device, Tensor};
use unetr::model::{Mode, Parameters, Precision, Unetr, UnetrConfig, with_precision};
use unetr::ops::backward;
use unetr::train::{Adam, AdamConfig, Loss, Optimizer, SumLoss};

use super::gpu;

/// A small network whose maps have 16 channels and more, as the presets have.
fn config() -> UnetrConfig {
    UnetrConfig {
        feature_size: 16,
        hidden_size: 48,
        mlp_size: 96,
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
        let forward = || self.model.forward(&images, Mode::Train { seed: 1 });
        let logits = with_precision(precision, forward).unwrap();
        let loss = SumLoss::tutorial().compute(&logits, &masks).unwrap().total;
        (logits, loss)
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

#[test]
fn a_step_on_a_gpu_is_that_of_the_cpu() {
    let Some(device) = gpu() else { return };
    let cpu = Network::new(&Device::Cpu);
    let (logits, loss) = cpu.loss(&Device::Cpu, Precision::Full);
    let expected = backward(&loss).unwrap();
    let mut failures = Vec::new();
    for (precision, bound) in [
        (Precision::Full, 1e-3),
        (Precision::Tf32, 0.03),
        (Precision::F16, 0.03),
        (Precision::Bf16, 0.2),
    ] {
        let gpu = Network::new(&device);
        let (on_gpu, gpu_loss) = gpu.loss(&device, precision);
        let gradients = backward(&gpu_loss).unwrap();
        let mut all = vec![("logits".to_owned(), off(&on_gpu, &logits))];
        let others = cpu.parameters.trainable();
        for ((name, var), (_, other)) in gpu.parameters.trainable().iter().zip(&others) {
            let (found, expected) = (gradients.get(var).unwrap(), expected.get(other).unwrap());
            all.push((name.clone(), off(found, expected)));
        }
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        println!("{precision}: {:?}", &all[..5]);
        if all[0].1.is_nan() || all[0].1 > bound {
            failures.push(format!(
                "{precision}: {} is off by {:.2e}",
                all[0].0, all[0].1
            ));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn training_on_a_gpu_follows_the_cpu() {
    let Some(device) = gpu() else { return };
    let train = |device: &Device, precision| -> Vec<f32> {
        let network = Network::new(device);
        let parameters = network.parameters.trainable();
        let mut adam = Adam::new(parameters, AdamConfig::default()).unwrap();
        let steps = (0..12).map(|_| {
            let (_, loss) = network.loss(device, precision);
            adam.minimise(&loss, 1e-3).unwrap();
            loss.to_scalar().unwrap()
        });
        steps.collect()
    };
    let expected = train(&Device::Cpu, Precision::Full);
    assert!(expected[11] < 0.8 * expected[0], "{expected:?}");
    for (precision, bound) in [
        (Precision::Full, 2e-3),
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
