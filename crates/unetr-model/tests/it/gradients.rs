//! What no golden file covers: every parameter learns, in every configuration.

use candle_core::{DType, Device, Module, Tensor};
use unetr_model::{
    BlockKind, Gelu, Mode, NormConfig, Parameters, PatchProjection, RunningVariance,
    SegmentationModel, Unetr, UnetrConfig, Upsampling,
};
use unetr_ops::{CrossEntropyConfig, cross_entropy};

use crate::fixture::{assert_close, distance, largest};

const TRAIN: Mode = Mode::Train { seed: 3 };

fn images(cfg: &UnetrConfig, batch: usize) -> Tensor {
    let [height, width] = cfg.image_size;
    let count = batch * cfg.in_channels * height * width;
    let values: Vec<f32> = (0..count)
        .map(|i| ((i * i % 977) as f32 / 977. - 0.5) * 3.)
        .collect();
    Tensor::from_vec(
        values,
        (batch, cfg.in_channels, height, width),
        &Device::Cpu,
    )
    .unwrap()
}

fn build(cfg: &UnetrConfig) -> (Unetr, Parameters) {
    let parameters = Parameters::new(5, DType::F32, &Device::Cpu);
    let model = Unetr::new(cfg, parameters.var_builder()).unwrap();
    (model, parameters)
}

#[test]
fn every_parameter_has_a_finite_gradient_that_is_not_zero() {
    let tiny = || UnetrConfig::tiny().with_image_size([32, 48]);
    let cases = [
        (tiny(), 2),
        (
            UnetrConfig {
                layers: 5,
                heads: 1,
                classes: 2,
                in_channels: 1,
                ..tiny()
            },
            1,
        ),
        (
            UnetrConfig {
                heads: 8,
                dropout: 0.2,
                projection_dropout: 0.1,
                ..tiny()
            },
            2,
        ),
        (
            UnetrConfig {
                stochastic_depth: 0.3,
                layer_scale: Some(0.1),
                ..tiny()
            },
            4,
        ),
        (
            UnetrConfig {
                norm: NormConfig::BATCH_FLAX,
                ..tiny()
            },
            2,
        ),
        (
            UnetrConfig {
                norm: NormConfig::Group {
                    groups: 2,
                    eps: 1e-6,
                },
                ..tiny()
            },
            1,
        ),
        (
            UnetrConfig {
                gelu: Gelu::Erf,
                qkv_bias: false,
                transposed_bias: false,
                patch_projection: PatchProjection::Perceptron,
                norm: NormConfig::Instance {
                    affine: false,
                    eps: 1e-5,
                },
                block: BlockKind::Basic,
                upsampling: Upsampling::TransposedOnly,
                ..tiny()
            },
            2,
        ),
    ];
    for (cfg, batch) in cases {
        let (model, parameters) = build(&cfg);
        let images = images(&cfg, batch);
        let logits = model.forward(&images, TRAIN).unwrap();
        assert_eq!(logits.dims(), [batch, cfg.classes, 32, 48]);
        let labels = (0..batch * 32 * 48)
            .map(|i| (i / 7 % cfg.classes) as u32)
            .collect();
        let labels = Tensor::from_vec(labels, (batch, 32, 48), &Device::Cpu).unwrap();
        let gradients = cross_entropy(&logits, &labels, &CrossEntropyConfig::default())
            .unwrap()
            .backward()
            .unwrap();
        for (name, var) in parameters.trainable() {
            let gradient = gradients
                .get(&var)
                .unwrap_or_else(|| panic!("{name} in {cfg:?}"));
            let size = largest(gradient);
            assert!(size.is_finite() && size > 0., "{name}: {size} in {cfg:?}");
        }
    }
}

#[test]
fn auxiliary_heads_learn_and_leave_the_network_as_it_is() {
    let without = UnetrConfig::tiny().with_image_size([32, 48]);
    let with = UnetrConfig {
        auxiliary_heads: true,
        ..without.clone()
    };
    let (model, parameters) = build(&with);
    let images = images(&with, 2);
    let output = model.forward_training(&images, TRAIN).unwrap();
    let (plain, _parameters) = build(&without);
    assert_eq!(
        distance(&output.logits, &plain.forward(&images, TRAIN).unwrap()),
        0.
    );
    assert!(
        plain
            .forward_training(&images, TRAIN)
            .unwrap()
            .auxiliary
            .is_empty()
    );
    assert_eq!(output.auxiliary.len(), 4);
    let mut loss = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
    for logits in &output.auxiliary {
        assert_eq!(logits.dims(), [2, 3, 2, 3]);
        loss = (loss + logits.sqr().unwrap().sum_all().unwrap()).unwrap();
    }
    let gradients = loss.backward().unwrap();
    for (name, var) in parameters.trainable() {
        let learns = name.starts_with("vit.") || name.starts_with("auxiliary_heads.");
        let size = gradients.get(&var).map_or(0., largest);
        assert_eq!(size > 0., learns, "{name}: {size}");
    }
}

#[test]
fn images_of_a_batch_do_not_see_each_other() {
    let cfg = UnetrConfig::tiny().with_image_size([48, 32]);
    let (model, _parameters) = build(&cfg);
    let images = images(&cfg, 3);
    let together = Module::forward(&model, &images).unwrap();
    for i in 0..3 {
        let image = images.narrow(0, i, 1).unwrap();
        let alone = SegmentationModel::forward(&model, &image, Mode::Eval).unwrap();
        assert_close("logits", &together.narrow(0, i, 1).unwrap(), &alone, 1e-5);
    }
}

#[test]
fn dropout_follows_the_seed_and_rests_in_evaluation() {
    let cfg = UnetrConfig {
        dropout: 0.3,
        ..UnetrConfig::tiny().with_image_size([32, 32])
    };
    let (model, _parameters) = build(&cfg);
    let images = images(&cfg, 1);
    let logits = |mode| model.forward(&images, mode).unwrap();
    assert_eq!(distance(&logits(TRAIN), &logits(TRAIN)), 0.);
    assert!(distance(&logits(TRAIN), &logits(Mode::Train { seed: 4 })) > 1e-3);
    assert_eq!(distance(&logits(Mode::Eval), &logits(Mode::Eval)), 0.);
    assert!(distance(&logits(TRAIN), &logits(Mode::Eval)) > 1e-3);
}

#[test]
fn running_statistics_follow_flax_or_pytorch() {
    let after = |running_variance| {
        let norm = NormConfig::Batch {
            eps: 1e-5,
            momentum: 0.25,
            running_variance,
        };
        let cfg = UnetrConfig {
            norm,
            ..UnetrConfig::tiny().with_image_size([32, 32])
        };
        let (model, parameters) = build(&cfg);
        model.forward(&images(&cfg, 1), Mode::Eval).unwrap();
        let running = |name: &str| {
            let var = parameters
                .get(&format!("encoder1.layer.norm3.{name}"))
                .unwrap();
            var.to_vec1::<f32>().unwrap()
        };
        assert_eq!(
            (running("running_mean"), running("running_var")),
            (vec![0.; 4], vec![1.; 4])
        );
        model.forward(&images(&cfg, 1), TRAIN).unwrap();
        running("running_var")
    };
    let biased = after(RunningVariance::Biased);
    let unbiased = after(RunningVariance::Unbiased);
    for (biased, unbiased) in biased.iter().zip(&unbiased) {
        // One channel of one image of 32×32 pixels; 0.75 is what the start weighs.
        let ratio = f64::from((unbiased - 0.75) / (biased - 0.75));
        assert!((ratio - 1024. / 1023.).abs() < 1e-4, "{ratio}");
    }
}
