use super::{DataLoaderConfig, EpochIter, OnBroken, Order, Position, job::Job};
use crate::{
    Canvas, Compose, Dataset, Fingerprint, Normalize, PixelType, Result, Sample, Transform,
    rng::below, sample_rng,
};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Reads a dataset in batches, epoch by epoch.
///
/// # Examples
/// ```no_run
/// use unetr_data::{Compose, DataLoader, DataLoaderConfig};
/// # fn run(pets: impl unetr_data::Dataset + 'static) -> unetr_data::Result<()> {
/// let transforms = Compose::tutorial_train([256, 256]);
/// let loader = DataLoader::new(pets, transforms, DataLoaderConfig::train(72))?;
/// for epoch in 0..50 {
///     for batch in loader.epoch(epoch) {
///         let batch = batch?;
///         println!("{:?} {:?}", batch.images.dims(), batch.masks.dims());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DataLoader {
    dataset: SharedDataset,
    transform: Arc<dyn Transform>,
    /// What is left for the device.
    normalize: Option<Normalize>,
    /// What was asked for, what is left for the device included.
    transforms: Value,
    config: DataLoaderConfig,
    skipped: Arc<AtomicUsize>,
}

/// A dataset that several threads read.
#[derive(Clone)]
pub(super) struct SharedDataset(pub(super) Arc<dyn Dataset>);

impl std::fmt::Debug for SharedDataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} samples", self.0.len())
    }
}

impl DataLoader {
    /// Checks the configuration and the transforms; no sample is read yet.
    ///
    /// Dataset and transform may be shared: an `Arc` of either is one too.
    ///
    /// # Errors
    /// When the configuration does not suit the dataset, or a transform's settings or place are
    /// wrong.
    pub fn new(
        dataset: impl Dataset + 'static,
        transform: impl Transform + 'static,
        config: DataLoaderConfig,
    ) -> Result<Self> {
        config.validate(dataset.len())?;
        transform.check(PixelType::U8)?;
        Ok(Self {
            dataset: SharedDataset(Arc::new(dataset)),
            transforms: transform.settings(),
            transform: Arc::new(transform),
            normalize: None,
            config,
            skipped: Arc::default(),
        })
    }

    /// As [`new`](Self::new), but a [`Normalize`] at the end of the transforms is left for later: photos of batches are
    /// u8, a quarter of the floats to be copied to a GPU, and [`Batch::normalize`](crate::Batch::normalize) says what is
    /// to be done to them.
    ///
    /// [`Batch::to_device`](crate::Batch::to_device) and the trainer of `unetr-train` do it on the device, with the
    /// floats of [`new`](Self::new) bit for bit: every transform before [`Normalize`] gives 8-bit pixels. Transforms that
    /// end with something else are as with [`new`](Self::new).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Examples
    /// ```no_run
    /// use candle_core::{DType, Device};
    /// use unetr_data::{Compose, DataLoader, DataLoaderConfig};
    /// # fn run(pets: impl unetr_data::Dataset + 'static) -> unetr_data::Result<()> {
    /// let transforms = Compose::tutorial_train([256, 256]);
    /// let loader = DataLoader::normalizing_later(pets, transforms, DataLoaderConfig::train(72))?;
    /// for batch in loader.epoch(0) {
    ///     let batch = batch?;
    ///     assert_eq!(batch.images.dtype(), DType::U8);
    ///     let batch = batch.to_device(&Device::Cpu)?;
    ///     assert_eq!(batch.images.dtype(), DType::F32);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn normalizing_later(
        dataset: impl Dataset + 'static,
        mut transforms: Compose,
        config: DataLoaderConfig,
    ) -> Result<Self> {
        transforms.validate()?;
        let asked_for = transforms.settings();
        let normalize = transforms.pop_normalize();
        Ok(Self {
            normalize,
            transforms: asked_for,
            ..Self::new(dataset, transforms, config)?
        })
    }

    /// The settings.
    pub fn config(&self) -> &DataLoaderConfig {
        &self.config
    }

    /// What the transforms are and how they are set, see [`Transform::settings`].
    pub fn transforms(&self) -> &Value {
        &self.transforms
    }

    /// What tells other samples by their number, names and order; no file is looked at, and their folder plays no part.
    pub fn samples(&self) -> Fingerprint {
        let dataset = &self.dataset.0;
        let count = Fingerprint::new("samples").number(dataset.len() as u64);
        (0..dataset.len()).fold(count, |names, index| names.text(&dataset.name(index)))
    }

    /// How many batches an epoch has, as long as no sample is skipped as broken.
    pub fn batches_per_epoch(&self) -> usize {
        self.config.batches(self.dataset.0.len())
    }

    /// How many samples were skipped as broken since the loader was made.
    pub fn skipped(&self) -> usize {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Starts an epoch. The workers begin at once; they end with the iterator.
    ///
    /// The same `epoch` gives the same batches each time.
    pub fn epoch(&self, epoch: u64) -> EpochIter {
        self.epoch_from(epoch, 0)
    }

    /// Starts an epoch at a later batch; what comes before it is not read.
    ///
    /// The batches are those that [`epoch`](Self::epoch) gives from there on. Samples skipped as
    /// broken before `first_batch` are not known here: where there were any, the batches start that
    /// many samples earlier; [`resume`](Self::resume) knows.
    pub fn epoch_from(&self, epoch: u64, first_batch: usize) -> EpochIter {
        self.resume(Position {
            epoch,
            samples: first_batch.saturating_mul(self.config.batch_size),
        })
    }

    /// Goes on where [`EpochIter::position`] said; what comes before it is not read.
    pub fn resume(&self, position: Position) -> EpochIter {
        let epoch = position.epoch;
        let mut order = self.order(epoch);
        if self.config.on_broken == OnBroken::Fail {
            // What would be dropped at the end need not be read.
            order.truncate(
                self.batches_per_epoch()
                    .saturating_mul(self.config.batch_size),
            );
        }
        let samples = position.samples.min(order.len());
        let job = self.job(epoch, order.split_off(samples));
        let start = Position { epoch, samples };
        let normalize = self.normalize.clone();
        EpochIter::new(job, start, &self.config, normalize, self.skipped.clone())
    }

    /// The dataset's sample at `index` as it is in an epoch, before samples are mixed: to look at what the network
    /// was given.
    ///
    /// # Errors
    /// When the sample can't be read or transformed.
    pub fn replay(&self, epoch: u64, index: usize) -> Result<Sample> {
        let sample = self.job(epoch, Vec::new()).sample(index)?;
        match &self.normalize {
            Some(normalize) => Canvas::with(sample, |canvas| canvas.normalize(normalize)),
            None => Ok(sample),
        }
    }

    fn job(&self, epoch: u64, order: Vec<usize>) -> Job {
        Job {
            dataset: self.dataset.clone(),
            transform: self.transform.clone(),
            seed: self.config.seed,
            epoch,
            order,
        }
    }

    /// The dataset's indices in the order of an epoch, as far as this process reads them.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.0.len()).collect();
        if self.config.order == Order::Shuffled {
            // No sample has the index u64::MAX, so the order has a generator of its own.
            let mut rng = sample_rng(self.config.seed, epoch, u64::MAX);
            for i in (1..order.len()).rev() {
                order.swap(i, below(&mut rng, i + 1));
            }
        }
        let shard = self.config.shard;
        let samples = self.config.samples(order.len());
        let part = order.into_iter().skip(shard.index).step_by(shard.count);
        part.take(samples).collect()
    }
}
