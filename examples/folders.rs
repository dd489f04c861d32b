//! Trains a UNETR on photos and masks in two folders, your own for example.
//!
//!     cargo run --release --example folders -- --images roads/photos --masks roads/masks \
//!         --classes road=0,car=128,car=129 --ignore 255
//!
//! A mask has the name of its photo, and `--classes` says what its values mean. Without these flags
//! the photos in `assets/` are taken. The preset `small` is trained by the recipe of its name unless
//! flags say otherwise.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use anyhow::Result;
use clap::Parser;
use common::folders::FolderFlags;
use common::network::{NetworkFlags, Preset, RecipeKind};
use common::settings::Settings;
use common::task::Task;
use unetr::data::{Classes, Compose, Dataset, Split};

/// Trains a UNETR on photos and masks in two folders, by default the preset `small` by the recipe `small`. A fifth of
/// them, drawn by the seed, is to evaluate on.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    folders: FolderFlags,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let (photos, names) = flags.folders.open()?;
    let small = (Preset::Small, RecipeKind::Small);
    let (classes, network) = (photos.num_classes(), &flags.network);
    // The tutorial's transforms know what surrounds a pet, and nothing else.
    let (cfg, recipe, augment) = network.choose(classes, small, Compose::crop_and_flip)?;
    let mut recipe = flags.settings.recipe(recipe)?;
    let split = Split::random(photos.len(), 0.8, recipe.trainer.seed)?;
    let mut task = Task::new(photos, split, names, augment)?;
    let ignored = u32::from(Classes::IGNORED);
    recipe.loss = recipe.loss.ignoring(ignored);
    task.metrics = task.metrics.with_ignore_index(ignored);
    common::run::train(&flags.settings, recipe, &cfg, &task)
}
