//! Measures training steps or inference and prints one line of JSON.
//!
//!     cargo run --release --example measure -- train-step --image-size 128 --hidden 192 --mlp 768 --batch 8

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use clap::{Parser, ValueEnum};
use serde_json::json;
use unetr::model::{Mode, Parameters, Unetr, UnetrConfig};
use unetr::train::{Adam, AdamConfig, Loss, Optimizer, SumLoss};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    TrainStep,
    Infer,
}

/// Measures training steps or inference.
#[derive(Debug, Parser)]
struct Flags {
    #[arg(value_enum)]
    bench: Bench,
    #[arg(long, default_value_t = 128)]
    image_size: usize,
    #[arg(long, default_value_t = 192)]
    hidden: usize,
    #[arg(long, default_value_t = 768)]
    mlp: usize,
    #[arg(long, default_value_t = 4)]
    heads: usize,
    #[arg(long, default_value_t = 16)]
    feature: usize,
    #[arg(long, default_value_t = 12)]
    layers: usize,
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Measured steps, after two that are not.
    #[arg(long, default_value_t = 15)]
    steps: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: String,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    rayon::ThreadPoolBuilder::new()
        .num_threads(flags.threads)
        .build_global()?;
    let device = common::device(&flags.device)?;
    let cfg = UnetrConfig {
        hidden_size: flags.hidden,
        mlp_size: flags.mlp,
        heads: flags.heads,
        feature_size: flags.feature,
        layers: flags.layers,
        ..UnetrConfig::tutorial()
    }
    .with_image_size([flags.image_size, flags.image_size]);
    let parameters = Parameters::new(0, DType::F32, &device);
    let model = Unetr::new(&cfg, parameters.var_builder())?;
    let mut adam = Adam::new(parameters.trainable(), AdamConfig::default())?;
    let (images, masks) = batch(&flags, &device)?;
    let mut losses = Vec::new();
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for step in 0..flags.steps.max(1) + 2 {
        let (wall, cpu) = (Instant::now(), cpu_seconds()?);
        match flags.bench {
            Bench::TrainStep => {
                let logits = model.forward(&images, Mode::Train { seed: step as u64 })?;
                let loss = SumLoss::tutorial().compute(&logits, &masks)?.total;
                adam.step(&loss.backward()?, 0.003)?;
                losses.push(loss.to_scalar::<f32>()?);
            }
            Bench::Infer => {
                model.forward(&images, Mode::Eval)?;
                device.synchronize()?;
            }
        }
        if step >= 2 {
            walls.push(wall.elapsed().as_secs_f64());
            cpus.push(cpu_seconds()? - cpu);
        }
    }
    walls.sort_by(f64::total_cmp);
    cpus.sort_by(f64::total_cmp);
    let median = walls[walls.len() / 2];
    let line = json!({
        "bench": if flags.bench == Bench::Infer { "infer" } else { "train-step" },
        "median_s": median,
        "min_s": walls[0],
        "max_s": walls[walls.len() - 1],
        "cpu_s_median": cpus[cpus.len() / 2],
        "images_per_s": flags.batch as f64 / median,
        "peak_rss_mb": peak_rss_mb()?,
        "params": parameters.count(),
        "loss_first": losses.first(),
        "loss_last": losses.last(),
        "batch": flags.batch,
        "threads": flags.threads,
    });
    println!("{line}");
    Ok(())
}

/// The same made-up images and masks in every run.
fn batch(flags: &Flags, device: &Device) -> Result<(Tensor, Tensor)> {
    let size = flags.image_size;
    let pixels = flags.batch * size * size;
    let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 8;
    let images: Vec<f32> = (0..3 * pixels)
        .map(|i| hash(i) as f32 / (1 << 23) as f32 - 1.)
        .collect();
    let masks: Vec<u8> = (0..pixels).map(|i| (hash(i) % 3) as u8).collect();
    Ok((
        Tensor::from_vec(images, (flags.batch, 3, size, size), device)?,
        Tensor::from_vec(masks, (flags.batch, size, size), device)?,
    ))
}

/// Seconds of processor time this process has used, from Linux's `/proc`.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().context("/proc/self/stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    // User and system time in hundredths of a second.
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.)
}

/// The most memory this process has held, from Linux's `/proc`.
fn peak_rss_mb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
