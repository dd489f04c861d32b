//! Trains a UNETR on photos and masks in two folders, your own for example.
//!
//!     cargo run --release --example folders -- --images roads/photos --masks roads/masks \
//!         --classes road=0,car=128,car=129
//!
//! A mask has the name of its photo, and `--classes` says what its values mean. Without these flags
//! the photos in `assets/` are taken. The preset `small` is trained by the recipe of its name unless
//! flags say otherwise.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use common::network::{NetworkFlags, Preset, RecipeKind};
use common::settings::Settings;
use common::task::Task;
use unetr::data::{ClassMap, Dataset, FolderConfig, FolderDataset, Split};

/// Trains a UNETR on photos and masks in two folders, by default the preset `small` by the recipe `small`. A fifth of
/// them is to evaluate on.
#[derive(Debug, Parser)]
struct Flags {
    /// The folder of the photos.
    #[arg(long, requires_all = ["masks", "classes"])]
    images: Option<PathBuf>,
    /// The folder of the masks, PNGs for example, which have the names of their photos.
    #[arg(long, requires = "images")]
    masks: Option<PathBuf>,
    /// What the values in the masks mean, `name=value` for each; a name may have several values.
    #[arg(long, value_delimiter = ',', value_parser = class, requires = "images")]
    classes: Vec<(String, u8)>,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let (photos, names) = open(&flags)?;
    let classes = photos.num_classes();
    let (cfg, recipe, augment) = flags
        .network
        .choose(classes, Preset::Small, RecipeKind::Small)?;
    let recipe = flags.settings.recipe(recipe)?;
    let split = Split::random(photos.len(), 0.8, recipe.trainer.seed)?;
    let task = Task::new(photos, split, names, augment)?;
    common::run::train(&flags.settings, recipe, &cfg, &task)
}

/// The data set and the names of its classes.
fn open(flags: &Flags) -> Result<(FolderDataset, Vec<String>)> {
    let (Some(images), Some(masks)) = (&flags.images, &flags.masks) else {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/oxford_pets_sample");
        let cfg = FolderConfig::new(ClassMap::new([(1, 0), (2, 1), (3, 2)]));
        let masks = sample.join("annotations/trimaps");
        let photos = FolderDataset::open(sample.join("images"), masks, &cfg)?;
        return Ok((
            photos,
            ["pet", "background", "boundary"].map(Into::into).into(),
        ));
    };
    let mut names: Vec<String> = Vec::new();
    let mut classes = ClassMap::new([]);
    for (name, value) in &flags.classes {
        let known = names.iter().position(|known| known == name);
        let class = known.unwrap_or(names.len());
        if known.is_none() {
            names.push(name.clone());
        }
        if classes.classes.insert(*value, class as u8).is_some() {
            bail!("--classes gives the value {value} twice; expected one class for each value");
        }
    }
    let photos = FolderDataset::open(images, masks, &FolderConfig::new(classes))?;
    Ok((photos, names))
}

/// A class and one of its values, from `name=value`.
fn class(text: &str) -> Result<(String, u8)> {
    let (name, value) = text.split_once('=').context("expected name=value")?;
    let value = value.parse().context("expected a value of 0 to 255")?;
    Ok((name.to_owned(), value))
}
