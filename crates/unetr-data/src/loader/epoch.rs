use super::{DataLoaderConfig, OnBroken, Remainder, job::Job, workers::Workers};
use crate::{Batch, Error, Result, batch::Item};
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
    /// The next position in the epoch's order.
    position: usize,
    batch_size: usize,
    remainder: Remainder,
    on_broken: OnBroken,
    batches: usize,
    skipped: usize,
    skipped_by_loader: Arc<AtomicUsize>,
}

impl EpochIter {
    pub(super) fn new(
        job: Job,
        config: &DataLoaderConfig,
        skipped_by_loader: Arc<AtomicUsize>,
    ) -> Self {
        let limit = config.prefetch.saturating_mul(config.batch_size);
        Self {
            workers: Some(Workers::start(job, config.workers, limit)),
            position: 0,
            batch_size: config.batch_size,
            remainder: config.remainder,
            on_broken: config.on_broken,
            batches: 0,
            skipped: 0,
            skipped_by_loader,
        }
    }

    /// How many samples of this epoch were skipped as broken so far.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(workers) = &self.workers else {
            return Ok(None);
        };
        let mut items: Vec<Item> = Vec::with_capacity(self.batch_size.min(workers.len()));
        while items.len() < self.batch_size && self.position < workers.len() {
            let item = workers.receive(self.position);
            self.position += 1;
            match item {
                Ok(item) => items.push(item),
                Err(error @ Error::Sample { .. }) if self.on_broken == OnBroken::Skip => {
                    log::warn!("skipped: {error}");
                    self.skipped += 1;
                    self.skipped_by_loader.fetch_add(1, Ordering::Relaxed);
                    workers.release(1);
                }
                Err(error) => return Err(error),
            }
        }
        let incomplete = items.len() < self.batch_size;
        if items.is_empty() || (incomplete && self.remainder == Remainder::Drop) {
            return match (self.batches, self.skipped) {
                (0, skipped @ 1..) => Err(Error::NoBatch { skipped }),
                _ => Ok(None),
            };
        }
        let count = items.len();
        let batch = Batch::stack(items)?;
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
        let left = samples.saturating_sub(self.position);
        (0, Some(left.div_ceil(self.batch_size)))
    }
}

impl FusedIterator for EpochIter {}
