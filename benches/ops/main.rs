//! The operations that take the time of a training step, forward and backward, beside what the
//! processor can do.
//!
//!     cargo bench --workspace --bench ops                    # all
//!     cargo bench --workspace --bench ops -- conv2d          # those whose name or shape has it
//!     cargo bench --workspace --bench ops -- --threads 1 --json
//!
//! Shapes are those of the tutorial's network at 256 x 256 pixels, a batch of 2, unless they say
//! otherwise. `benches/peers/torch_ops.py` measures the same in PyTorch.

mod blocks;
mod cases;
mod flops;
mod peak;
mod row;
mod step;
mod suite;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use suite::{Format, Suite};

/// Measures operations, forward and backward.
#[derive(Debug, Parser)]
struct Flags {
    /// Measures only what has this in its name or shape.
    #[arg(default_value = "")]
    filter: String,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Seconds for each operation; five runs at least.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Prints a line of JSON for each operation instead of a table.
    #[arg(long)]
    json: bool,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    // This thread is one of those that compute, as in the examples.
    unetr::ops::keep_freed_memory();
    rayon::ThreadPoolBuilder::new()
        .num_threads(flags.threads)
        .use_current_thread()
        .build_global()?;
    let peak = peak::flops_per_second();
    let format = if flags.json {
        Format::Json
    } else {
        println!(
            "peak {:.1} GFLOP/s: {} threads, multiply-adds of f32 in registers\n",
            peak / 1e9,
            flags.threads
        );
        println!("{}", row::header());
        Format::Table
    };
    let mut suite = Suite {
        filter: flags.filter,
        at_most: Duration::from_secs_f64(flags.seconds),
        peak,
        format,
    };
    cases::convolutions(&mut suite)?;
    cases::normalisations(&mut suite)?;
    cases::transformer(&mut suite)?;
    blocks::blocks(&mut suite)?;
    cases::losses(&mut suite)?;
    cases::adam(&mut suite)?;
    step::training_step(&mut suite)
}
