//! Measures updates, inference or the data pipeline and prints one line of JSON.
//!
//!     cargo run --release --example measure -- train-step --image-size 256 --hidden 768 --mlp 3072 --batch 2
//!     cargo run --release --example measure -- infer
//!     cargo run --release --example measure -- trainer
//!     cargo run --release --example measure -- pipeline --data data/oxford_pets --workers 2
//!     cargo run --release --example measure -- stages --data data/oxford_pets
//!
//! The line says what was measured and how: seconds of a step (of the pipeline: between two
//! batches), images per second in the steady state, the most memory that was held. What has no
//! meaning is null.

#[allow(dead_code, reason = "every example uses a part of it")]
#[path = "../common/mod.rs"]
mod common;
mod line;
mod network;
mod pipeline;
mod stages;
mod time;
mod trainer;

use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand};

use network::Network;
use pipeline::Pipeline;
use stages::Stages;

/// The sample in `assets/`.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/oxford_pets_sample");

/// Measures updates, inference or the data pipeline.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Updates: forward, loss, backward and optimiser.
    #[command(alias = "train")]
    TrainStep(Network),
    /// The forward pass in evaluation.
    Infer(Network),
    /// The updates of a trainer beside those of a bare loop over the same batches, in turn.
    Trainer(Network),
    /// Photos from the disk to batches.
    Pipeline(Pipeline),
    /// The parts of the pipeline one by one, in one thread.
    Stages(Stages),
}

fn main() -> Result<()> {
    let start = Instant::now();
    match Flags::parse().bench {
        Bench::TrainStep(network) => network::train(network, start),
        Bench::Infer(network) => network::infer(network, start),
        Bench::Trainer(network) => trainer::measure(network),
        Bench::Pipeline(case) => pipeline::measure(&case),
        Bench::Stages(case) => stages::measure(&case),
    }
}
