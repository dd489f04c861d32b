use super::data_loader::SharedDataset;
use crate::{Error, Result, Sample, Transform, batch::Item, sample_rng};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

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
        self.guarded(index, || Item::new(index, self.transformed(index)?))
    }

    /// The dataset's sample at `index`.
    pub(super) fn sample(&self, index: usize) -> Result<Sample> {
        self.guarded(index, || self.transformed(index))
    }

    /// Reads and transforms a sample.
    fn transformed(&self, index: usize) -> Result<Sample> {
        let sample = self.dataset.0.get(index)?;
        let mut rng = sample_rng(self.seed, self.epoch, index as u64);
        self.transform.apply(sample, &mut rng)
    }

    /// Says which sample an error is about. A panic becomes an error, so that nobody waits for a sample that never
    /// comes.
    fn guarded<T>(&self, index: usize, read: impl FnOnce() -> Result<T>) -> Result<T> {
        // Unwind safe: the sample and its generator are lost with the panic, and what a dataset
        // shares between threads must stand a panic anyway.
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(source)) => Err(Error::Sample {
                name: self.name(index),
                index,
                source: Box::new(source),
            }),
            Err(panic) => Err(Error::WorkerPanic {
                name: self.name(index),
                index,
                message: message(&*panic),
            }),
        }
    }

    fn name(&self, index: usize) -> String {
        catch_unwind(AssertUnwindSafe(|| self.dataset.0.name(index)))
            .unwrap_or_else(|_| "of unknown name".into())
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
