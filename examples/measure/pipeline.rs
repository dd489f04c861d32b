//! Photos from the disk to batches.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use unetr::data::{
    Compose, DataLoader, DataLoaderConfig, Dataset, MemoryCache, OxfordPets, PrepareConfig,
    PreparedDataset, Subset,
};

use crate::SAMPLE;
use crate::line::{Line, VERSIONS};
use crate::time::{Seconds, Stamp, peak_rss_mb};

#[derive(Debug, Args, Serialize)]
pub(crate) struct Pipeline {
    /// The folder with `images/` and `annotations/`; the sample in `assets/` by default.
    #[arg(long, default_value = SAMPLE)]
    data: PathBuf,
    /// Threads that read and transform; 0 for the one that waits for batches.
    #[arg(long, default_value_t = 0)]
    workers: usize,
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Images in all; more than there are go through the data several times.
    #[arg(long, default_value_t = 1024)]
    #[serde(skip)]
    images: usize,
    #[arg(long, value_enum, default_value = "train")]
    pipeline: Transforms,
    #[arg(long, value_enum, default_value = "none")]
    cache: Cache,
    #[arg(long, default_value_t = 256)]
    image_size: usize,
    /// Leaves the normalisation for later: batches of bytes.
    #[arg(long)]
    bytes: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Transforms {
    /// The tutorial's for training, with augmentation.
    Train,
    /// The tutorial's for validation.
    Val,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Cache {
    /// Every photo is decoded each time.
    None,
    /// Decoded photos stay in memory.
    Memory,
    /// Decoded photos are in a file in the folder for temporary files.
    Prepared,
}

/// What is measured of the pipeline alone.
#[derive(Serialize)]
pub(crate) struct PipelineLine {
    device: &'static str,
    images: usize,
    total_s: f64,
    images_per_s_total: f64,
    images_per_s_steady: f64,
    /// Until the first batch.
    startup_s: f64,
    shape: Vec<usize>,
}

/// One long epoch, so that the threads start once; the steady state is the second half of its batches.
pub(crate) fn measure(case: &Pipeline) -> Result<()> {
    let size = [case.image_size; 2];
    let transforms = match case.pipeline {
        Transforms::Train => Compose::tutorial_train(size),
        Transforms::Val => Compose::tutorial_val(size),
    };
    let cfg = DataLoaderConfig {
        workers: case.workers,
        ..DataLoaderConfig::train(case.batch)
    };
    let folder = tempfile::tempdir()?;
    let start = Stamp::now()?;
    let pets = OxfordPets::open(&case.data)?;
    let pets: Arc<dyn Dataset> = match case.cache {
        Cache::None => Arc::new(pets),
        Cache::Memory => Arc::new(MemoryCache::new(pets, usize::MAX)),
        Cache::Prepared => {
            let path = folder.path().join("pets");
            let config = PrepareConfig::default();
            Arc::new(PreparedDataset::open_or_create(path, &pets, &config)?)
        }
    };
    let repeated = (0..case.images).map(|n| n % pets.len()).collect();
    let photos = Subset::new(pets, repeated)?;
    let loader = match case.bytes {
        true => DataLoader::normalizing_later(photos, transforms, cfg)?,
        false => DataLoader::new(photos, transforms, cfg)?,
    };
    let (mut images, mut stamps, mut shape) = (0, Vec::new(), Vec::new());
    for batch in loader.epoch(0) {
        let batch = batch?;
        images += batch.len();
        shape = batch.images.dims().to_vec();
        stamps.push(Stamp::now()?);
    }
    let first = (stamps.len() / 2).max(1);
    let Some(steady @ [begin, .., end]) = stamps.get(first..) else {
        bail!(
            "{images} images are {} batches, expected at least 3; raise --images or lower --batch",
            stamps.len()
        );
    };
    let images_per_s = ((steady.len() - 1) * case.batch) as f64 / end.since(begin);
    let total_s = end.since(&start);
    Line {
        bench: "pipeline",
        seconds: Seconds::between(steady),
        images_per_s,
        first_call_s: None,
        peak_rss_mb: peak_rss_mb()?,
        peak_device_mb: None,
        versions: VERSIONS,
        params: None,
        loss_first: None,
        loss_last: None,
        case,
        pipeline: Some(PipelineLine {
            device: "cpu",
            images,
            total_s,
            images_per_s_total: images as f64 / total_s,
            images_per_s_steady: images_per_s,
            startup_s: stamps[0].since(&start),
            shape,
        }),
    }
    .print()
}
