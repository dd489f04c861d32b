use std::path::Path;

use candle_core::Device;
use serde::de::DeserializeOwned;
use unetr_data::{Classes, Compose, Normalize, Step};
use unetr_model::Unetr;
use unetr_model::hub::locate;

use super::{CLASSES, CONFIG, PREPROCESSING, WEIGHTS};
use crate::error::At;
use crate::{Error, Result, Segmenter};

impl Segmenter {
    /// Reads a network that [`save_pretrained`](crate::save_pretrained) wrote, or a checkpoint, for the CPU, from a
    /// folder or from a repository of the Hugging Face hub, `owner/name` or `owner/name@revision`.
    ///
    /// # Errors
    /// As [`from_pretrained_on`](Self::from_pretrained_on).
    pub fn from_pretrained(source: impl AsRef<Path>) -> Result<Self> {
        Self::from_pretrained_on(source, &Device::Cpu)
    }

    /// [`from_pretrained`](Self::from_pretrained) for any device.
    ///
    /// Where `classes.json` is missing the classes are called by their numbers, and where `preprocessing.json` is,
    /// photos are normalised as ImageNet's.
    ///
    /// # Errors
    /// When the source is neither a folder nor in the hub or its cache, which [`unetr_model::hub::locate`] explains; when
    /// a file cannot be read or is not valid, when the weights are not those of the configuration, or when photos are
    /// prepared otherwise than by a resize and a normalisation.
    pub fn from_pretrained_on(source: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let source = source.as_ref();
        let folder = match source.is_dir() {
            true => source.to_owned(),
            false => locate(
                &source.to_string_lossy(),
                &[CONFIG, WEIGHTS],
                &[PREPROCESSING, CLASSES],
            )?,
        };
        let (model, _) = Unetr::load(&folder, device)?;
        let normalize = match read(&folder.join(PREPROCESSING))? {
            Some(steps) => normalization(&folder.join(PREPROCESSING), &steps)?,
            None => Normalize::default(),
        };
        let classes = match read(&folder.join(CLASSES))? {
            Some(classes) => classes,
            None => Classes::viridis((0..model.config().classes).map(|class| class.to_string()))?,
        };
        Self::of_unetr(model, classes, normalize, device).map_err(|error| match error {
            Error::Classes { .. } => error.in_file(&folder.join(CLASSES)),
            other => other,
        })
    }
}

/// The value of a JSON file, if there is one.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    serde_json::from_slice(&std::fs::read(path).at(path)?).at(path)
}

/// What photos are normalised by.
fn normalization(path: &Path, steps: &Compose) -> Result<Normalize> {
    let valid = steps.validate().map_err(Error::from);
    valid.map_err(|error| error.in_file(path))?;
    match &*steps.steps {
        [Step::Normalize(normalize)] | [Step::Resize(_), Step::Normalize(normalize)] => {
            Ok(normalize.clone())
        }
        _ => Err(Error::Preprocessing {
            path: path.to_owned(),
            found: steps.to_string(),
        }),
    }
}
