//! What is learnt.

use std::sync::Arc;

use anyhow::Result;
use unetr::data::{Compose, Dataset, Split, Subset};
use unetr::model::UnetrConfig;

/// A network that two cores train in minutes.
pub(crate) fn small_network(classes: usize) -> UnetrConfig {
    UnetrConfig {
        classes,
        feature_size: 8,
        hidden_size: 128,
        mlp_size: 512,
        layers: 6,
        auxiliary_heads: true,
        ..UnetrConfig::small()
    }
    .with_image_size([64, 64])
}

/// What is to be learnt, and from which photos.
pub(crate) struct Task {
    /// What the classes are called, in the order of their indices.
    pub(crate) classes: Vec<String>,
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
            classes: classes.into_iter().map(Into::into).collect(),
            train: Arc::new(Subset::new(Arc::clone(&dataset), split.train)?),
            validation: Arc::new(Subset::new(dataset, split.val)?),
            augment,
        })
    }
}
