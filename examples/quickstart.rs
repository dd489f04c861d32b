//! Trains a small UNETR on the photos in `assets/`, offline, in one to three minutes on two cores.
//!
//!     cargo run --release --example quickstart

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::path::Path;

use clap::Parser;
use common::settings::Settings;
use common::task::Task;
use unetr::data::{Compose, OxfordPets};
use unetr::model::UnetrConfig;
use unetr::train::{Recipe, TrainerConfig};

/// Trains a small UNETR on the photos in `assets/`, for 20 epochs.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

fn main() -> anyhow::Result<()> {
    let Flags { settings } = Flags::parse();
    // A network that two cores train in minutes.
    let cfg = UnetrConfig {
        feature_size: 8,
        hidden_size: 128,
        mlp_size: 512,
        layers: 6,
        auxiliary_heads: true,
        ..UnetrConfig::small()
    }
    .with_image_size([64, 64]);
    let recipe = Recipe::small();
    let recipe = Recipe {
        trainer: TrainerConfig {
            epochs: 20,
            ..recipe.trainer
        },
        ..recipe
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/oxford_pets_sample");
    let pets = OxfordPets::open(root)?;
    let split = pets.official_split()?;
    let task = Task::pets(pets, split, Compose::crop_and_flip(cfg.image_size))?;
    common::run::train(&settings, settings.recipe(recipe)?, &cfg, &task)
}
