//! The tutorial: UNETR on the Oxford-IIIT Pet Dataset.
//!
//!     cargo run --release --example oxford_pets -- --data data/oxford_pets --download
//!
//! The defaults are the tutorial's; `--preset small --recipe small` trains on a CPU.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use common::settings::Settings;
use common::task::Task;
use indicatif::{ProgressBar, ProgressStyle};
use unetr::data::{Compose, Dataset, DownloadEvent, OxfordPets, Split, download_oxford_pets};
use unetr::model::UnetrConfig;
use unetr::train::Recipe;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SplitKind {
    /// 70 % for training, drawn by the seed.
    Random,
    /// The data set's own lists.
    Official,
    /// The tutorial's 5,173 and 2,215 photos.
    Tutorial,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RecipeKind {
    /// The tutorial's recipe and training transforms.
    Tutorial,
    /// Better for small networks from scratch: other losses, optimiser and batches, light transforms.
    Small,
    /// For a transformer trained elsewhere, with `--encoder`; the tutorial's training transforms.
    Finetune,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Preset {
    Tutorial,
    Small,
    Tiny,
}

/// Trains UNETR on the Oxford-IIIT Pet Dataset.
#[derive(Debug, Parser)]
struct Flags {
    /// The folder with `images/` and `annotations/`.
    #[arg(long, default_value = "data/oxford_pets")]
    data: PathBuf,
    /// Downloads the data first, 811 MB; what is there already is not downloaded again.
    #[arg(long)]
    download: bool,
    #[arg(long, value_enum, default_value = "tutorial")]
    split: SplitKind,
    #[arg(long, value_enum, default_value = "tutorial")]
    preset: Preset,
    /// How it is trained; `--config` takes its place, `--transforms` that of its transforms.
    #[arg(long, value_enum, default_value = "tutorial")]
    recipe: RecipeKind,
    /// Height and width that photos are resized to, a multiple of 16; the preset's by default.
    #[arg(long)]
    image_size: Option<usize>,
    /// Probability of a sample to skip the last encoder block in training; the preset's by default.
    #[arg(long)]
    stochastic_depth: Option<f64>,
    /// Learns factors of what the encoder blocks add, which start at this; none by default.
    #[arg(long)]
    layer_scale: Option<f64>,
    /// Heads that teach the transformer in training, see `UnetrConfig::auxiliary_heads`; of the other
    /// recipes than the tutorial's they are part.
    #[arg(long)]
    auxiliary_heads: bool,
    /// The training transforms, as `{"steps": [..]}` in a JSON file; the recipe's by default.
    #[arg(long)]
    transforms: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    if flags.download {
        download(&flags.data)?;
    }
    let pets = OxfordPets::open(&flags.data)?;
    let cfg = match flags.preset {
        Preset::Tutorial => UnetrConfig::tutorial(),
        Preset::Small => UnetrConfig::small(),
        Preset::Tiny => UnetrConfig::tiny(),
    };
    let cfg = match flags.image_size {
        Some(size) => cfg.with_image_size([size, size]),
        None => cfg,
    };
    let cfg = UnetrConfig {
        stochastic_depth: flags.stochastic_depth.unwrap_or(cfg.stochastic_depth),
        layer_scale: flags.layer_scale.or(cfg.layer_scale),
        auxiliary_heads: flags.auxiliary_heads || !matches!(flags.recipe, RecipeKind::Tutorial),
        ..cfg
    };
    cfg.validate()?;
    let (recipe, transforms) = match flags.recipe {
        RecipeKind::Tutorial => (Recipe::tutorial(), Compose::tutorial_train(cfg.image_size)),
        RecipeKind::Small => (Recipe::small(), Compose::crop_and_flip(cfg.image_size)),
        RecipeKind::Finetune => (Recipe::finetune(), Compose::tutorial_train(cfg.image_size)),
    };
    let augment = match &flags.transforms {
        Some(path) => read_transforms(path)?,
        None => transforms,
    };
    let recipe = flags.settings.recipe(recipe)?;
    let split = match flags.split {
        SplitKind::Random => Split::random(pets.len(), 0.7, recipe.trainer.seed)?,
        SplitKind::Official => pets.official_split()?,
        SplitKind::Tutorial => pets.tutorial_split(),
    };
    let task = Task::pets(pets, split, augment)?;
    common::run::train(&flags.settings, recipe, &cfg, &task)
}

fn read_transforms(path: &Path) -> Result<Compose> {
    let named = || format!("the training transforms {}", path.display());
    let text = std::fs::read(path).with_context(named)?;
    serde_json::from_slice(&text).with_context(named)
}

/// Downloads both archives with a progress bar.
fn download(root: &Path) -> Result<()> {
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(
        "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
    )?);
    download_oxford_pets(root, &mut |event| match event {
        DownloadEvent::Receiving {
            file,
            received,
            total,
        } => {
            bar.set_message(file.to_owned());
            bar.set_length(total);
            bar.set_position(received);
        }
        DownloadEvent::Retrying {
            file,
            problem,
            pause,
        } => {
            bar.println(format!("{file}: {problem}; trying again in {pause:?}"));
        }
        DownloadEvent::Verifying { file } => bar.set_message(format!("checking {file}")),
        DownloadEvent::Unpacking { file, entries } => {
            bar.set_message(format!("unpacking {file}: {entries} files"));
        }
        DownloadEvent::Complete { file } => bar.println(format!("{file}: complete")),
        _ => {}
    })?;
    bar.finish_and_clear();
    Ok(())
}
