//! Photos and masks in two folders.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use unetr::data::{ClassMap, FolderConfig, FolderDataset};

/// Where photos and masks are, and what the masks say; the photos in `assets/` by default.
#[derive(Debug, Args)]
pub(crate) struct FolderFlags {
    /// The folder of the photos.
    #[arg(long, requires_all = ["masks", "classes"])]
    images: Option<PathBuf>,
    /// The folder of the masks, PNGs for example, which have the names of their photos.
    #[arg(long, requires = "images")]
    masks: Option<PathBuf>,
    /// What the values in the masks mean, `name=value` for each; a name may have several values.
    #[arg(long, value_delimiter = ',', value_parser = class, requires = "images")]
    classes: Vec<(String, u8)>,
    /// Values of pixels that are neither learnt nor measured, 255 for example.
    #[arg(long, value_delimiter = ',', requires = "images")]
    ignore: Vec<u8>,
}

impl FolderFlags {
    /// The data set and the names of its classes.
    pub(crate) fn open(&self) -> Result<(FolderDataset, Vec<String>)> {
        let (Some(images), Some(masks)) = (&self.images, &self.masks) else {
            let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/oxford_pets_sample");
            let cfg = FolderConfig::new(ClassMap::new([(1, 0), (2, 1), (3, 2)]));
            let masks = sample.join("annotations/trimaps");
            let photos = FolderDataset::open(sample.join("images"), masks, &cfg)?;
            let names = ["pet", "background", "boundary"].map(Into::into);
            return Ok((photos, names.into()));
        };
        let mut names: Vec<String> = Vec::new();
        let mut classes = ClassMap::new([]).ignore_values(self.ignore.iter().copied());
        for (name, value) in &self.classes {
            let known = names.iter().position(|known| known == name);
            let class = known.unwrap_or(names.len());
            if known.is_none() {
                names.push(name.clone());
            }
            let is_ignored = self.ignore.contains(value);
            if is_ignored || classes.classes.insert(*value, class as u8).is_some() {
                bail!(
                    "--classes and --ignore give the value {value} twice; expected one meaning for each value"
                );
            }
        }
        let photos = FolderDataset::open(images, masks, &FolderConfig::new(classes))?;
        Ok((photos, names))
    }
}

/// A class and one of its values, from `name=value`.
fn class(text: &str) -> Result<(String, u8)> {
    let (name, value) = text.split_once('=').context("expected name=value")?;
    let value = value.parse().context("expected a value of 0 to 255")?;
    Ok((name.to_owned(), value))
}
