//! The tutorial: UNETR on the Oxford-IIIT Pet Dataset.
//!
//!     cargo run --release --example oxford_pets -- --data data/oxford_pets --download
//!
//! The defaults are the tutorial's; `--preset small --recipe small` trains on a CPU.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use common::network::{NetworkFlags, Preset, RecipeKind};
use common::settings::Settings;
use common::task::Task;
use indicatif::{ProgressBar, ProgressStyle};
use unetr::data::{Compose, Dataset, DownloadEvent, OxfordPets, Split, download_oxford_pets};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SplitKind {
    /// 70 % for training, drawn by the seed.
    Random,
    /// The data set's own lists.
    Official,
    /// The tutorial's 5,173 and 2,215 photos.
    Tutorial,
}

/// Trains UNETR on the Oxford-IIIT Pet Dataset, by default the tutorial's network by its recipe.
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
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    if flags.download {
        download(&flags.data)?;
    }
    let pets = OxfordPets::open(&flags.data)?;
    let classes = OxfordPets::CLASS_NAMES.len();
    let tutorial = (Preset::Tutorial, RecipeKind::Tutorial);
    let network = &flags.network;
    let (cfg, recipe, augment) = network.choose(classes, tutorial, Compose::tutorial_train)?;
    let recipe = flags.settings.recipe(recipe)?;
    let split = match flags.split {
        SplitKind::Random => Split::random(pets.len(), 0.7, recipe.trainer.seed)?,
        SplitKind::Official => pets.official_split()?,
        SplitKind::Tutorial => pets.tutorial_split(),
    };
    let task = Task::pets(pets, split, augment)?;
    common::run::train(&flags.settings, recipe, &cfg, &task)
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
