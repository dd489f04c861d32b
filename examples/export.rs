//! Writes a network as ONNX, for onnxruntime and others.
//!
//!     cargo run --release --example export -- --model runs/quickstart/model \
//!         --onnx model.onnx
//!
//! With `--input pixels --output classes` the graph takes decoded photos and gives the class of every pixel.
//! With `--samples` and photos it also writes what the network itself computes of them, to compare a runtime
//! with.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use clap::{Parser, ValueEnum};
use image::GrayImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use unetr::data::{
    Batch, ExifOrientation, Image, Normalize, Resize, Sample, Transform, read_image, sample_rng,
};
use unetr::model::{Mode, OnnxConfig, OnnxInput, OnnxOutput, Parameters, Unetr, UnetrConfig};
use unetr::predict::Segmenter;

/// Writes a network as ONNX.
#[derive(Debug, Parser)]
struct Flags {
    /// The folder of a network or of a checkpoint.
    #[arg(long, alias = "checkpoint", required_unless_present = "config")]
    model: Option<PathBuf>,
    /// A configuration instead: a network of random numbers, to try a runtime before training.
    #[arg(long, conflicts_with = "model")]
    config: Option<PathBuf>,
    /// The file for the graph and the parameters.
    #[arg(long)]
    onnx: PathBuf,
    /// What the graph takes: normalised images, or the pixels of photos.
    #[arg(long, value_enum, default_value = "normalized")]
    input: Input,
    /// What the graph gives.
    #[arg(long, value_enum, default_value = "logits")]
    output: Output,
    /// A safetensors file for `images` of the photos, as the graph takes them, and the network's `logits`.
    #[arg(long, requires = "photos")]
    samples: Option<PathBuf>,
    /// The photos.
    #[arg(requires = "samples")]
    photos: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Input {
    Normalized,
    Pixels,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Logits,
    Probabilities,
    Classes,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    common::device::compute_threads(0)?;
    let ((model, parameters), normalize) = match (&flags.model, &flags.config) {
        (Some(folder), _) => {
            let segmenter = Segmenter::from_pretrained(folder)?;
            let network = Unetr::from_pretrained(&folder.to_string_lossy(), &Device::Cpu)?;
            (network, segmenter.normalize().clone())
        }
        (None, Some(config)) => {
            let network = random_network(&UnetrConfig::read(config)?)?;
            (network, Normalize::default())
        }
        (None, None) => bail!("expected --model or --config"),
    };
    let options = OnnxConfig {
        input: match flags.input {
            Input::Normalized => OnnxInput::Normalized,
            Input::Pixels => OnnxInput::Pixels {
                mean: normalize.mean,
                std: normalize.std,
            },
        },
        output: match flags.output {
            Output::Logits => OnnxOutput::Logits,
            Output::Probabilities => OnnxOutput::Probabilities,
            Output::Classes => OnnxOutput::Classes,
        },
    };
    model.save_onnx(&parameters, &options, &flags.onnx)?;
    println!("{}", flags.onnx.display());
    if let Some(samples) = &flags.samples {
        write_samples(&model, &flags, &normalize, samples)?;
        println!("{}", samples.display());
    }
    Ok(())
}

/// A network whose biases and statistics are random too, so that a runtime that lacks one is noticed.
fn random_network(cfg: &UnetrConfig) -> Result<(Unetr, Parameters)> {
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let model = Unetr::new(cfg, parameters.var_builder())?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for (_, var) in parameters.variables() {
        if let &[size] = var.dims() {
            let change: Vec<f32> = (0..size).map(|_| rng.random_range(0. ..0.2)).collect();
            let change = Tensor::from_vec(change, size, &Device::Cpu)?;
            var.set(&(var.as_tensor() + change)?)?;
        }
    }
    Ok((model, parameters))
}

fn write_samples(model: &Unetr, flags: &Flags, normalize: &Normalize, path: &Path) -> Result<()> {
    let (photos, input) = (&flags.photos, flags.input);
    let size = model.config().image_size;
    let (mut pixels, mut samples) = (Vec::new(), Vec::new());
    for (index, photo) in photos.iter().enumerate() {
        let image = read_image(photo, ExifOrientation::Apply)?;
        let (width, height) = image.dimensions();
        let name = photo.display().to_string();
        let sample = Sample::new(&name, image, GrayImage::new(width, height));
        let sample = Resize::new(size).apply(sample, &mut sample_rng(0, 0, 0))?;
        if let Image::U8(image) = &sample.image {
            pixels.extend_from_slice(image.as_raw());
        }
        let sample = normalize.apply(sample, &mut sample_rng(0, 0, 0))?;
        samples.push((index, sample));
    }
    let [height, width] = size;
    let normalized = Batch::collate(samples)?.images;
    let logits = model.forward(&normalized, Mode::Eval)?;
    let images = match input {
        Input::Normalized => normalized,
        Input::Pixels => Tensor::from_vec(pixels, (photos.len(), height, width, 3), &Device::Cpu)?,
    };
    let tensors = HashMap::from([("images", images), ("logits", logits)]);
    candle_core::safetensors::save(&tensors, path).with_context(|| path.display().to_string())
}
