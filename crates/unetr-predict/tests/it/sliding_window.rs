//! MONAI's `sliding_window_inference`; `tests/fixtures/gen_sliding_window.py` made the values.

use candle_core::{D, DType, Device, Tensor};
use unetr_model::{Parameters, Unetr, UnetrConfig};
use unetr_predict::{Blend, Error, SlidingWindow, sliding_window};

use crate::fixture;

fn monai() -> Unetr {
    let cfg = UnetrConfig {
        feature_size: 2,
        hidden_size: 12,
        mlp_size: 16,
        heads: 3,
        ..UnetrConfig::monai(3, 3, [32, 32])
    };
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let weights = fixture("monai2d_default.safetensors");
    parameters.load_strict(weights).unwrap();
    model
}

#[test]
fn scores_are_those_of_monai() {
    let path = fixture("sliding_window.safetensors");
    let values = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let model = monai();
    let gaussian = Blend::default();
    for (name, overlap, blend) in [
        ("large", 0.25, gaussian),
        ("large_constant", 0.5, Blend::Constant),
        ("exact", 0.25, gaussian),
        ("narrow", 0.6, gaussian),
        ("small", 0.25, Blend::Constant),
    ] {
        let config = SlidingWindow { overlap, blend };
        let images = &values[&format!("{name}/images")];
        let expected = &values[&format!("{name}/scores")];
        for batch_size in [1, 4] {
            let scores = sliding_window(&model, images, [32, 32], &config, batch_size).unwrap();
            assert_eq!(scores.dims(), expected.dims(), "{name}");
            let difference = greatest_difference(&scores, expected);
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let images = Tensor::zeros((1, 3, 40, 40), DType::F32, &Device::Cpu).unwrap();
    let model = monai();
    for config in [
        SlidingWindow {
            overlap: 1.,
            ..SlidingWindow::default()
        },
        SlidingWindow {
            overlap: f64::NAN,
            ..SlidingWindow::default()
        },
        SlidingWindow {
            blend: Blend::Gaussian { sigma: 0. },
            ..SlidingWindow::default()
        },
    ] {
        let error = sliding_window(&model, &images, [32, 32], &config, 1).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
    }
    let config = SlidingWindow::default();
    assert!(sliding_window(&model, &images, [32, 32], &config, 0).is_err());
    assert!(sliding_window(&model, &images, [0, 32], &config, 1).is_err());
}

fn greatest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    difference.max(D::Minus1).unwrap().to_scalar().unwrap()
}
