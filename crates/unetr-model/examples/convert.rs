//! Checkpoints of MONAI become folders with a network, and networks become checkpoints of MONAI.
//!
//!     cargo run --release -p unetr-model --example convert -- from-monai model.pth --image-size 256 256 --heads 12 \
//!         --out model
//!     cargo run --release -p unetr-model --example convert -- to-monai model --out model.safetensors
//!
//! `scripts/check_monai.py` compares with MONAI what this program writes and computes.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::{DType, Device};
use clap::{Parser, Subcommand};
use unetr_model::{Mode, Parameters, Unetr, monai};

/// Converts networks from and to MONAI.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A folder with config.json and model.safetensors from a checkpoint of MONAI's UNETR.
    FromMonai {
        /// Safetensors, or what `torch.save` wrote.
        weights: PathBuf,
        /// Height and width of the images.
        #[arg(long, num_args = 2, required = true)]
        image_size: Vec<usize>,
        /// Attention heads, MONAI's `num_heads`.
        #[arg(long)]
        heads: usize,
        /// The folder.
        #[arg(long)]
        out: PathBuf,
    },
    /// Safetensors for MONAI from a folder or the id of a repository, and on the output the network they are for.
    ToMonai {
        /// The folder, or `owner/name` of the Hugging Face hub.
        source: String,
        /// The file.
        #[arg(long)]
        out: PathBuf,
    },
    /// The logits of images, safetensors with `images` to safetensors with `logits`.
    Logits {
        /// The folder, or `owner/name` of the Hugging Face hub.
        source: String,
        /// `images`, `[batch, channels, height, width]`.
        images: PathBuf,
        /// The file.
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> Result<()> {
    let device = Device::Cpu;
    match Flags::parse().command {
        Command::FromMonai {
            weights,
            image_size,
            heads,
            out,
        } => {
            let cfg = monai::config(&weights, [image_size[0], image_size[1]], heads)?;
            let parameters = Parameters::new(0, DType::F32, &device);
            let model = Unetr::new(&cfg, parameters.var_builder())?;
            let report = parameters.load_strict(&weights)?;
            model.save(&parameters, &out)?;
            println!("{report}");
            for name in report.ignored {
                println!("of no use: {name}");
            }
        }
        Command::ToMonai { source, out } => {
            let (model, parameters) = Unetr::from_pretrained(&source, &device)?;
            monai::save(model.config(), &parameters, &out)?;
            println!("{}", monai::constructor(model.config())?);
        }
        Command::Logits {
            source,
            images,
            out,
        } => {
            let (model, _) = Unetr::from_pretrained(&source, &device)?;
            let tensors = candle_core::safetensors::load(&images, &device)?;
            let images = tensors
                .get("images")
                .with_context(|| format!("{}: no `images`", images.display()))?;
            let logits = model.forward(images, Mode::Eval)?;
            let tensors = HashMap::from([("logits", logits)]);
            candle_core::safetensors::save(&tensors, out)?;
        }
    }
    Ok(())
}
