//! The golden values of Flax and MONAI, on a GPU.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use unetr::model::{Mode, Parameters, Unetr, UnetrConfig, flax};
use unetr::ops::backward;
use unetr::train::{Loss as _, SumLoss};

use super::gpu;
use super::operations::{difference, values};

type Tensors = HashMap<String, Tensor>;

/// What a file holds that is part of this program, which may run where there is no source.
fn read(file: &[u8]) -> Tensors {
    candle_core::safetensors::load_buffer(file, &Device::Cpu).unwrap()
}

fn below(tensors: &Tensors, prefix: &str) -> Tensors {
    let named = tensors.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix(prefix)?;
        Some((name.to_owned(), tensor.clone()))
    });
    named.collect()
}

fn channels_first(xs: &Tensor) -> Tensor {
    xs.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()
}

fn assert_close(what: &str, found: &Tensor, expected: &Tensor, bound: f64) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let off = difference(&values(found), &values(expected));
    assert!(off <= bound, "{what} is off by {off:.1e}");
}

#[test]
fn logits_loss_and_gradients_are_those_of_flax() {
    let Some(device) = gpu() else { return };
    let golden = read(include_bytes!("../fixtures/unetr_small.safetensors"));
    let tree = flax::convert(&below(&golden, "params/")).unwrap();
    let parameters = Parameters::from_tensors(tree, DType::F32, &device);
    let cfg = UnetrConfig {
        image_size: [64, 64],
        feature_size: 4,
        hidden_size: 24,
        mlp_size: 48,
        ..UnetrConfig::tutorial()
    };
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let images = channels_first(&golden["in/x"]).to_device(&device).unwrap();
    let images = Var::from_tensor(&images).unwrap();
    let masks = golden["in/mask"].to_dtype(DType::U8).unwrap();
    let masks = masks.to_device(&device).unwrap();
    let logits = model.forward(&images, Mode::Train { seed: 0 }).unwrap();
    let expected = channels_first(&golden["x64/out/logits"]);
    assert_close("logits", &logits, &expected, 5e-5);
    let loss = SumLoss::tutorial().compute(&logits, &masks).unwrap().total;
    assert_close("loss", &loss, &golden["x64/loss/total"], 5e-6);
    let gradients = backward(&loss).unwrap();
    let expected = channels_first(&golden["x64/grad/in/x"]);
    assert_close("image", gradients.get(&images).unwrap(), &expected, 5e-5);
    let expected = flax::convert(&below(&golden, "x64/grad/params/")).unwrap();
    // The keys' biases have no gradient but noise: softmax takes it away.
    let keys = |name: &str| name.ends_with("qkv.bias");
    for (name, var) in parameters.trainable() {
        if !keys(&name) {
            assert_close(&name, gradients.get(&var).unwrap(), &expected[&name], 1e-4);
        }
    }
}

#[test]
fn logits_are_those_of_monai() {
    let Some(device) = gpu() else { return };
    let weights = read(include_bytes!("../fixtures/monai2d_default.safetensors"));
    let io = read(include_bytes!("../fixtures/monai2d_default_io.safetensors"));
    let parameters = Parameters::from_tensors(weights, DType::F32, &device);
    let cfg = UnetrConfig {
        feature_size: 2,
        hidden_size: 12,
        mlp_size: 16,
        heads: 3,
        ..UnetrConfig::monai(3, 3, [32, 32])
    };
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let images = io["in/x"].to_device(&device).unwrap();
    let logits = model.forward(&images, Mode::Eval).unwrap();
    assert_close("logits", &logits, &io["x64/out/y"], 1e-5);
}
