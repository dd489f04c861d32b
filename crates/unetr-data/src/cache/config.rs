use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::{Compose, Dataset, Error, Fingerprint, PixelType, Result, Transform};

/// How a [`PreparedDataset`](crate::PreparedDataset) is made.
///
/// # Examples
/// ```
/// use unetr_data::{Compose, PrepareConfig, Resize};
///
/// let cfg = PrepareConfig::new(Compose::default().then(Resize::new([320, 320])));
/// let json = r#"{"transform": {"steps": [{"kind": "resize", "size": [320, 320]}]}}"#;
/// assert_eq!(serde_json::from_str::<PrepareConfig>(json)?, cfg);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrepareConfig {
    /// What is done to every sample before it is written; nothing by default. No part of it may be
    /// random, and photos stay 8-bit: the loader does the rest, anew in every epoch.
    pub transform: Compose,
    /// Threads that read and transform; 4 by default. Each holds up to 4 samples.
    pub threads: NonZeroUsize,
}

impl Default for PrepareConfig {
    fn default() -> Self {
        Self {
            transform: Compose::default(),
            threads: const { NonZeroUsize::new(4).expect("4 is not 0") },
        }
    }
}

impl PrepareConfig {
    /// Writes samples as this transform makes them.
    pub fn new(transform: Compose) -> Self {
        Self {
            transform,
            ..Self::default()
        }
    }

    /// Checks the transform.
    ///
    /// Whether it is random shows at the first sample only.
    ///
    /// # Errors
    /// When a setting makes no sense, or when photos would be floats.
    pub fn validate(&self) -> Result<()> {
        match self.transform.check(PixelType::U8)? {
            PixelType::U8 => Ok(()),
            PixelType::F32 => Err(Error::InvalidPrepare(format!(
                "`{}` makes floats, and 8-bit pixels are written; leave Normalize to the loader",
                self.transform
            ))),
        }
    }

    /// What the samples of `dataset` that are prepared like this depend on.
    pub(super) fn fingerprint(&self, dataset: &(impl Dataset + ?Sized)) -> Result<Fingerprint> {
        let source = dataset.fingerprint()?.ok_or(Error::NoFingerprint)?;
        // Another release may decode or transform to other values.
        Fingerprint::new(concat!("unetr-data ", env!("CARGO_PKG_VERSION")))
            .and(source)
            .settings(&self.transform)
    }
}
