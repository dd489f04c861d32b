//! Trains a small UNETR on the photos in `assets/`, offline, in two to three minutes on two cores.
//!
//!     cargo run --release --example quickstart

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::path::{Path, PathBuf};

use clap::Parser;
use common::settings::{SEED, Settings};
use common::task::Task;
use unetr::data::{Compose, OxfordPets};
use unetr::train::Recipe;

/// Trains a small UNETR on the photos in `assets/`.
#[derive(Debug, Parser)]
struct Flags {
    /// The folder for configuration, history, checkpoints and pictures.
    #[arg(long, default_value = "runs/quickstart")]
    out: PathBuf,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Passes over the training set.
    #[arg(long, default_value_t = 20)]
    epochs: u64,
    /// What initial weights, the order of photos and augmentations derive from.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Goes on from the last checkpoint in the folder.
    #[arg(long)]
    resume: bool,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let cfg = common::task::small_network(OxfordPets::CLASS_NAMES.len());
    let settings = Settings {
        epochs: Some(flags.epochs),
        device: flags.device,
        resume: flags.resume,
        ..Settings::new(flags.out, flags.seed)
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/oxford_pets_sample");
    let pets = OxfordPets::open(root)?;
    let split = pets.official_split()?;
    let augment = Compose::crop_and_flip(cfg.image_size);
    let task = Task::pets(pets, split, augment)?;
    common::run::train(&settings, settings.recipe(Recipe::small())?, &cfg, &task)
}
