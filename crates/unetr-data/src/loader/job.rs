use super::data_loader::SharedDataset;
use crate::{Error, Result, Transform, batch::Item, sample_rng};
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
    /// Reads and transforms the sample at a position of the order. A panic becomes an error, so
    /// that nobody waits for a sample that never comes.
    pub(super) fn load(&self, position: usize) -> Result<Item> {
        let index = self.order[position];
        // Unwind safe: the sample and its generator are lost with the panic, and what a dataset
        // shares between threads must stand a panic anyway.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let sample = self.dataset.0.get(index)?;
            let mut rng = sample_rng(self.seed, self.epoch, index as u64);
            Item::new(index, self.transform.apply(sample, &mut rng)?)
        }));
        match outcome {
            Ok(Ok(item)) => Ok(item),
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
