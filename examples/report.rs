//! Makes one HTML file of a training run, or of several beside each other; also while they go on.
//!
//!     cargo run --release --example report -- runs/quickstart
//!     cargo run --release --example report -- runs/quickstart runs/other --out comparison.html

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use unetr::train::{Report, RunFolder};

/// Makes one HTML file of a training run, or of several beside each other.
#[derive(Debug, Parser)]
struct Flags {
    /// The folders of the runs.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The file to write; `report.html` in the folder of the first run by default.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let out = flags
        .out
        .unwrap_or_else(|| RunFolder::new(&flags.runs[0]).report());
    Report::open(&flags.runs)?.write(&out)?;
    println!("{}", out.display());
    Ok(())
}
