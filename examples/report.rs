//! Makes one HTML file of a training run, or of several beside each other; also while they go on.
//!
//!     cargo run --release --example report -- runs/quickstart
//!     cargo run --release --example report -- runs/quickstart runs/other

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
    /// The file to write; by default `report.html` in the folder of the run, of several runs `comparison.html` here.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let out = flags.out.unwrap_or_else(|| match &*flags.runs {
        [run] => RunFolder::new(run).report(),
        _ => "comparison.html".into(),
    });
    Report::open(&flags.runs)?.write(&out)?;
    println!("{}", out.display());
    Ok(())
}
