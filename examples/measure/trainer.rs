//! A trainer beside a bare loop.

use anyhow::Result;
use serde_json::json;
use unetr::data::{Compose, DataLoaderConfig, MemoryCache, OxfordPets};
use unetr::model::{Mode, with_precision};
use unetr::train::{
    Adam, AdamConfig, Loss, Optimizer, Schedule, SumLoss, Trainer, TrainerConfig, console_progress,
};

use crate::line::VERSIONS;
use crate::network::{Network, Prepared};
use crate::time::{Seconds, Stamp};
use crate::{SAMPLE, common};

/// How often a trainer and a bare loop take turns.
const TURNS: usize = 7;

/// Trains in turn by the one and by the other.
pub(crate) fn measure(network: Network) -> Result<()> {
    let prepared = Prepared::new(Network {
        batch: network.batch.or(Some(8)),
        ..network
    })?;
    let Prepared {
        case,
        precision,
        parameters,
        model,
        ..
    } = &prepared;
    let photos = MemoryCache::new(OxfordPets::open(SAMPLE)?, usize::MAX);
    let loader = DataLoaderConfig {
        workers: 1,
        ..DataLoaderConfig::train(case.batch.unwrap_or(1))
    };
    let transforms = Compose::tutorial_train([case.image_size; 2]);
    let device = prepared.images.device();
    let loader = common::device::loader_for(device, photos, transforms, loader)?;
    loader.epoch(0).try_for_each(|batch| batch.map(|_| ()))?; // fills the cache

    let steps = case.steps.min(loader.batches_per_epoch());
    let schedule = Schedule::Constant { lr: 1e-4 };
    let adam = || Adam::new(parameters.trainable(), AdamConfig::default());
    let (mut bare, mut trained) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let mut optimizer = adam()?;
        let start = Stamp::now()?;
        for batch in loader.epoch(0).take(steps) {
            let batch = batch?.to_device(device)?;
            let mode = Mode::Train { seed: 0 };
            let logits = with_precision(*precision, || model.forward(&batch.images, mode))?;
            let loss = SumLoss::tutorial().compute(&logits, &batch.masks)?.total;
            optimizer.minimise(&loss, schedule.lr(0))?;
        }
        bare.extend([start, Stamp::now()?]);

        let config = TrainerConfig {
            max_steps: Some(steps as u64),
            precision: *precision,
            ..TrainerConfig::default()
        };
        let loss = SumLoss::tutorial();
        let mut trainer = Trainer::new(model, parameters, loss, adam()?, schedule.clone(), config)?
            .callback(console_progress());
        let start = Stamp::now()?;
        trainer.fit(&loader)?;
        trained.extend([start, Stamp::now()?]);
    }
    let median = |stamps: &[Stamp]| {
        let turns = stamps.chunks_exact(2).map(Seconds::between);
        let mut seconds: Vec<f64> = turns.map(|seconds| seconds.median_s).collect();
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2] / steps as f64
    };
    let (bare, trained) = (median(&bare), median(&trained));
    let line = json!({
        "bench": "trainer",
        "bare_s": bare,
        "trainer_s": trained,
        "overhead": trained / bare - 1.,
        "versions": VERSIONS,
        "case": case,
    });
    println!("{line}");
    Ok(())
}
