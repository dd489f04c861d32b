//! Reads every sample of a data set once and says what is broken and what is there.
//!
//!     cargo run --release --example verify -- pets data/oxford_pets
//!     cargo run --release --example verify -- voc VOCdevkit/VOC2012 trainval
//!     cargo run --release --example verify -- coco annotations/instances_val2017.json val2017
//!     cargo run --release --example verify -- csv list.csv road car --json
//!     cargo run --release --example verify -- folders --images roads/photos --masks roads/masks \
//!         --classes road=0,car=128,car=129 --ignore 255
//!
//! Prints a table, or JSON; fails where a sample has a problem.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use common::folders::FolderFlags;
use unetr::data::{
    Classes, CocoConfig, CocoDataset, CsvConfig, CsvDataset, Dataset, OxfordPets, VerifyConfig,
    VocConfig, VocDataset, verify,
};

/// Reads every sample of a data set once and says what is broken and what is there.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    layout: Layout,
    /// Prints JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Layout {
    /// The Oxford-IIIT Pet Dataset: `images/` and `annotations/trimaps/`.
    Pets { root: PathBuf },
    /// Pascal VOC: `JPEGImages/`, `SegmentationClass/` and a list in `ImageSets/Segmentation/`.
    Voc { root: PathBuf, list: String },
    /// A COCO file of instances and the folder of its photos.
    Coco {
        annotations: PathBuf,
        photos: PathBuf,
    },
    /// Photos in one folder, masks of the same names in another.
    Folders {
        #[command(flatten)]
        folders: FolderFlags,
    },
    /// A CSV file with the columns image and mask, whose values are classes, or 255 to ignore, and the names of the
    /// classes from 0 on.
    Csv {
        list: PathBuf,
        #[arg(required = true)]
        classes: Vec<String>,
    },
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let (dataset, classes): (Box<dyn Dataset>, Classes) = match &flags.layout {
        Layout::Pets { root } => (Box::new(OxfordPets::open(root)?), OxfordPets::classes()),
        Layout::Voc { root, list } => {
            let cfg = VocConfig::default();
            (Box::new(VocDataset::open(root, list, &cfg)?), cfg.classes)
        }
        Layout::Coco {
            annotations,
            photos,
        } => {
            let coco = CocoDataset::open(annotations, photos, &CocoConfig::default())?;
            let classes = coco.classes().clone();
            (Box::new(coco), classes)
        }
        Layout::Folders { folders } => {
            let (photos, names) = folders.open()?;
            (Box::new(photos), Classes::named(names)?)
        }
        Layout::Csv { list, classes } => {
            let cfg = CsvConfig::new(Classes::named(classes)?);
            (Box::new(CsvDataset::open(list, &cfg)?), cfg.classes)
        }
    };
    let cfg = VerifyConfig {
        classes: Some(classes),
        ..VerifyConfig::default()
    };
    let verification = verify(&*dataset, &cfg);
    if flags.json {
        println!("{}", serde_json::to_string_pretty(&verification)?);
    } else {
        println!("{verification}");
    }
    match verification.problems.len() {
        0 => Ok(()),
        count => bail!("{count} of {} samples have a problem", verification.samples),
    }
}
