use super::{DataLoaderConfig, OnBroken, Position, Remainder, job::Job, workers::Workers};
use crate::{Batch, Error, Normalize, Result, batch::Item, rng::batch_rng};
use std::{
    iter::FusedIterator,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The batches of one epoch, from [`DataLoader::epoch`](crate::DataLoader::epoch).
///
/// An error is the last item. Dropping the iterator ends its threads, each after the sample it is
/// at, and waits for them.
#[derive(Debug)]
pub struct EpochIter {
    /// None once the epoch is over.
    workers: Option<Workers>,
    /// Where this iterator began.
    start: Position,
    /// How many samples it has taken since.
    taken: usize,
    config: DataLoaderConfig,
    /// What is left to be done to the photos.
    normalize: Option<Normalize>,
    batches: usize,
    skipped: Vec<Error>,
    skipped_by_loader: Arc<AtomicUsize>,
}

impl EpochIter {
    pub(super) fn new(
        job: Job,
        start: Position,
        config: &DataLoaderConfig,
        normalize: Option<Normalize>,
        skipped_by_loader: Arc<AtomicUsize>,
    ) -> Self {
        let limit = config.prefetch.saturating_mul(config.batch_size);
        Self {
            workers: Some(Workers::start(job, config.workers, limit)),
            start,
            taken: 0,
            config: config.clone(),
            normalize,
            batches: 0,
            skipped: Vec::new(),
            skipped_by_loader,
        }
    }

    /// What was wrong with the samples that were skipped so far, each with its name.
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    /// Where [`DataLoader::resume`](crate::DataLoader::resume) goes on with the next batch.
    pub fn position(&self) -> Position {
        Position {
            samples: self.start.samples + self.taken,
            ..self.start
        }
    }

    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(workers) = &self.workers else {
            return Ok(None);
        };
        let batch_size = self.config.batch_size;
        let mut items: Vec<Item> = Vec::with_capacity(batch_size.min(workers.len()));
        while items.len() < batch_size && self.taken < workers.len() {
            let item = workers.receive(self.taken);
            self.taken += 1;
            match item {
                Ok(item) => items.push(item),
                Err(error @ Error::Sample { .. }) if self.config.on_broken == OnBroken::Skip => {
                    log::warn!("skipped: {error}");
                    self.skipped.push(error);
                    self.skipped_by_loader.fetch_add(1, Ordering::Relaxed);
                    workers.release(1);
                }
                Err(error) => return Err(error),
            }
        }
        let incomplete = items.len() < batch_size;
        if items.is_empty() || (incomplete && self.config.remainder == Remainder::Drop) {
            // Where an epoch is gone on with, there were batches before.
            let began = self.start.samples > 0 || self.batches > 0;
            return match self.skipped.len() {
                skipped @ 1.. if !began => Err(Error::NoBatch { skipped }),
                _ => Ok(None),
            };
        }
        let count = items.len();
        Item::check_alike(&items)?;
        if let (Some(mix), Some(first)) = (self.config.mix, items.first()) {
            let first = first.index as u64;
            let mut rng = batch_rng(self.config.seed, self.start.epoch, first);
            mix.apply(&mut items, &mut rng);
        }
        let batch = Batch {
            normalize: self.normalize.clone(),
            ..Batch::stack(items)?
        };
        workers.release(count);
        self.batches += 1;
        Ok(Some(batch))
    }
}

impl Iterator for EpochIter {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let batch = self.next_batch().transpose();
        if !matches!(batch, Some(Ok(_))) {
            self.workers = None;
        }
        batch
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let samples = self.workers.as_ref().map_or(0, Workers::len);
        let left = samples.saturating_sub(self.taken);
        (0, Some(left.div_ceil(self.config.batch_size)))
    }
}

impl FusedIterator for EpochIter {}
