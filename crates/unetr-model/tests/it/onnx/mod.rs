//! ONNX files, read again and computed node by node with the definitions of the operators.
//! `scripts/check_onnx.py` runs such files in onnxruntime.

mod interpreter;
mod networks;
mod options;
#[path = "../../../src/onnx/proto.rs"]
mod proto;

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use unetr_model::{OnnxConfig, Parameters, Unetr, UnetrConfig};

/// A network in f64 whose parameters are all random, so that no zero hides where it goes, and those numbers
/// that f32 has.
fn random(cfg: &UnetrConfig) -> (Unetr, Parameters) {
    let parameters = Parameters::new(0, DType::F64, &Device::Cpu);
    let model = Unetr::new(cfg, parameters.var_builder()).unwrap();
    for (seed, (name, var)) in (0..).zip(parameters.variables()) {
        let change = (noise(seed, var.dims()) * 0.2).unwrap();
        let change = match name.ends_with("running_var") {
            true => change.abs().unwrap(),
            false => change,
        };
        let value = (var.as_tensor() + change).unwrap();
        let value = value.to_dtype(DType::F32).unwrap();
        var.set(&value.to_dtype(DType::F64).unwrap()).unwrap();
    }
    (model, parameters)
}

/// Random numbers in -1..1.
fn noise(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1. ..1.)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Two images, as if they were normalised.
fn images(cfg: &UnetrConfig) -> Tensor {
    let [height, width] = cfg.image_size;
    (noise(99, &[2, cfg.in_channels, height, width]) * 2.).unwrap()
}

fn read(path: &Path) -> proto::Model {
    proto::Model::decode(std::fs::read(path).unwrap().as_slice()).unwrap()
}

fn export(model: &Unetr, parameters: &Parameters, options: &OnnxConfig) -> proto::Model {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    model.save_onnx(parameters, options, &path).unwrap();
    read(&path)
}
