use super::{Mix, Shard};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The order of the samples in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As the dataset has them.
    Sequential,
    /// A permutation of `(seed, epoch)`, another one in every epoch.
    Shuffled,
}

/// What becomes of an epoch's last samples when they don't fill a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remainder {
    /// They are a smaller batch.
    Keep,
    /// They are left out of this epoch.
    Drop,
}

/// What to do with a sample that can't be read or transformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBroken {
    /// The epoch ends with an error that names it.
    Fail,
    /// A warning is logged, the sample is counted, and the batch is filled from the next ones.
    Skip,
}

/// The settings of a [`DataLoader`](crate::DataLoader).
///
/// # Examples
/// ```
/// use unetr_data::DataLoaderConfig;
///
/// let train = DataLoaderConfig { workers: 8, seed: 12, ..DataLoaderConfig::train(72) };
/// let from_json: DataLoaderConfig = serde_json::from_str(r#"{"batch_size": 72, "seed": 12}"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataLoaderConfig {
    /// Samples in a batch; 8 by default.
    pub batch_size: usize,
    /// The order of the samples; shuffled by default.
    pub order: Order,
    /// The seed of the order and of the random transforms; 0 by default.
    pub seed: u64,
    /// Threads that read and transform; 4 by default, 0 for the calling thread.
    pub workers: usize,
    /// How many batches the workers may be ahead; 2 by default. It bounds the memory:
    /// `prefetch * batch_size` samples.
    pub prefetch: usize,
    /// What becomes of the last samples when they don't fill a batch; kept by default.
    pub remainder: Remainder,
    /// What to do with a sample that can't be read; fail by default.
    pub on_broken: OnBroken,
    /// What is made of a batch's samples together; nothing by default.
    pub mix: Option<Mix>,
    /// The part of an epoch that this process reads; all of it by default.
    pub shard: Shard,
}

impl Default for DataLoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 8,
            order: Order::Shuffled,
            seed: 0,
            workers: 4,
            prefetch: 2,
            remainder: Remainder::Keep,
            on_broken: OnBroken::Fail,
            mix: None,
            shard: Shard::default(),
        }
    }
}

impl DataLoaderConfig {
    /// For training: shuffled, full batches only.
    pub fn train(batch_size: usize) -> Self {
        Self {
            batch_size,
            remainder: Remainder::Drop,
            ..Self::default()
        }
    }

    /// For evaluation: every sample once, in the dataset's order.
    pub fn evaluation(batch_size: usize) -> Self {
        Self {
            batch_size,
            order: Order::Sequential,
            ..Self::default()
        }
    }

    /// Checks the settings for a dataset of `samples`.
    ///
    /// # Errors
    /// When the batch size or the prefetch is 0, there is no such shard or no sample in it, or every
    /// batch would be dropped.
    pub fn validate(&self, samples: usize) -> Result<()> {
        let invalid = |reason: String| Err(Error::InvalidLoader(reason));
        if self.batch_size == 0 {
            return invalid("batch_size is 0; give at least 1".into());
        }
        if self.prefetch == 0 {
            return invalid(
                "prefetch is 0; give at least 1 batch, and workers 0 to read without threads"
                    .into(),
            );
        }
        let Shard { index, count } = self.shard;
        if index >= count {
            return invalid(format!(
                "shard {index} of {count}; expected an index below the count, counted from 0"
            ));
        }
        if samples == 0 {
            return invalid("the dataset has no samples".into());
        }
        let part = match count {
            1 => String::new(),
            _ => format!(
                ", {} of them in shard {index} of {count}",
                self.samples(samples)
            ),
        };
        if self.samples(samples) == 0 {
            return invalid(format!(
                "the dataset has {samples} samples{part}; use fewer shards"
            ));
        }
        if self.batches(samples) == 0 {
            return invalid(format!(
                "the dataset has {samples} samples{part}, fewer than the batch size {}, and incomplete \
                 batches are dropped; lower batch_size or keep the remainder",
                self.batch_size
            ));
        }
        Ok(())
    }

    /// How many batches an epoch over `samples` has.
    pub(super) fn batches(&self, samples: usize) -> usize {
        let samples = self.samples(samples);
        match self.remainder {
            Remainder::Keep => samples.div_ceil(self.batch_size),
            Remainder::Drop => samples / self.batch_size,
        }
    }

    /// How many of `samples` are in this process' part of an epoch.
    pub(super) fn samples(&self, samples: usize) -> usize {
        let Shard { index, count } = self.shard;
        match self.remainder {
            Remainder::Keep => samples.saturating_sub(index).div_ceil(count),
            Remainder::Drop => samples / count,
        }
    }
}
