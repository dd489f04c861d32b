//! What is learnt.

use std::sync::Arc;

use anyhow::Result;
use unetr::data::{Compose, Dataset, OxfordPets, Split, Subset};
use unetr::metrics::MetricSet;

/// What is to be learnt, and from which photos.
pub(crate) struct Task {
    /// What is measured, of classes of these names.
    pub(crate) metrics: MetricSet,
    pub(crate) train: Arc<dyn Dataset>,
    pub(crate) validation: Arc<dyn Dataset>,
    /// The transforms of training photos; validation photos are resized and normalised.
    pub(crate) augment: Compose,
}

impl Task {
    pub(crate) fn new<S: Into<String>>(
        dataset: impl Dataset + 'static,
        split: Split,
        classes: impl IntoIterator<Item = S>,
        augment: Compose,
    ) -> Result<Self> {
        let dataset = Arc::new(dataset);
        Ok(Self {
            metrics: MetricSet::new(classes)?,
            train: Arc::new(Subset::new(Arc::clone(&dataset), split.train)?),
            validation: Arc::new(Subset::new(dataset, split.val)?),
            augment,
        })
    }

    /// Pets, their background and the boundary between, measured also as others do: without the boundary, and as
    /// foreground, which the boundary belongs to, against background.
    pub(crate) fn pets(dataset: OxfordPets, split: Split, augment: Compose) -> Result<Self> {
        let task = Self::new(dataset, split, OxfordPets::CLASS_NAMES, augment)?;
        let metrics = task
            .metrics
            .with_mean_without(["boundary"])?
            .with_group("foreground", ["pet", "boundary"])?;
        Ok(Self { metrics, ..task })
    }
}
