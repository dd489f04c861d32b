use super::data_loader::SharedDataset;
use crate::{Canvas, Error, Result, Sample, Transform, batch::Item, panic::guarded, sample_rng};
use std::sync::Arc;

/// What is to be read in an epoch.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) dataset: SharedDataset,
    pub(super) transform: Arc<dyn Transform>,
    pub(super) seed: u64,
    pub(super) epoch: u64,
    /// The dataset's indices, in the order in which they are delivered.
    pub(super) order: Vec<usize>,
}

impl Job {
    /// The sample at a position of the order.
    pub(super) fn load(&self, position: usize) -> Result<Item> {
        let index = self.order[position];
        self.named(index, || {
            let (sample, normalize) = self.transformed(index)?.finish_in_bytes()?;
            Item::new(index, sample, normalize)
        })
    }

    /// The dataset's sample at `index`.
    pub(super) fn sample(&self, index: usize) -> Result<Sample> {
        self.named(index, || self.transformed(index)?.finish())
    }

    /// Reads and transforms a sample.
    fn transformed(&self, index: usize) -> Result<Canvas> {
        let mut canvas = Canvas::new(self.dataset.0.get(index)?)?;
        let mut rng = sample_rng(self.seed, self.epoch, index as u64);
        self.transform.draw(&mut canvas, &mut rng)?;
        Ok(canvas)
    }

    /// Says which sample an error is about. A panic becomes an error, so that nobody waits for a sample that never
    /// comes.
    fn named<T>(&self, index: usize, read: impl FnOnce() -> Result<T>) -> Result<T> {
        match guarded(read) {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(source)) => Err(Error::Sample {
                name: self.name(index),
                index,
                source: Box::new(source),
            }),
            Err(message) => Err(Error::WorkerPanic {
                name: self.name(index),
                index,
                message,
            }),
        }
    }

    fn name(&self, index: usize) -> String {
        guarded(|| self.dataset.0.name(index)).unwrap_or_else(|_| "of unknown name".into())
    }
}
