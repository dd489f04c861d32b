use std::collections::BTreeMap;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use unetr_metrics::{AbsentClass, ConfusionMatrix, MetricSet};

use crate::error::At;
use crate::{Result, Split, files, number};

/// What an evaluation found: every score, and the confusion matrix that most of them follow from.
///
/// On disk it is a JSON object; scores that are not finite are the strings `"NaN"`, `"inf"` and
/// `"-inf"`, as in a [`HistoryFile`](crate::HistoryFile).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use unetr_metrics::MetricSet;
/// # use unetr_train::{Evaluation, RunFolder, Split};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let run = RunFolder::new(folder.path());
/// # let logits = Tensor::new(&[[[2f32, 0.], [0., 1.]]], &Device::Cpu)?;
/// # let labels = Tensor::new(&[[0u8, 1]], &Device::Cpu)?;
/// let mut metrics = MetricSet::new(["pet", "background"])?;
/// metrics.update(&logits, &labels)?;
///
/// let evaluation = Evaluation::new(50, 3550, Split::Validation, &metrics);
/// evaluation.write(run.evaluation())?;
/// assert_eq!(Evaluation::read(run.evaluation())?.scores["mean_iou"], 1.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Epochs completed.
    pub epoch: u64,
    /// Updates made.
    pub step: u64,
    /// The data that was evaluated.
    pub split: Split,
    /// The names of the classes, in the order of their indices.
    pub class_names: Vec<String>,
    /// The scores by name, see [`MetricSet::compute`].
    #[serde(with = "number::map")]
    pub scores: BTreeMap<String, f64>,
    /// How often each class was taken for each other one.
    pub confusion_matrix: ConfusionMatrix,
}

impl Evaluation {
    /// What `metrics` holds after `epoch` epochs and `step` updates.
    pub fn new(epoch: u64, step: u64, split: Split, metrics: &MetricSet) -> Self {
        Self {
            epoch,
            step,
            split,
            class_names: metrics.class_names().to_vec(),
            scores: metrics.compute(),
            confusion_matrix: metrics.confusion_matrix().clone(),
        }
    }

    /// Writes it as a whole: who reads meanwhile finds the former evaluation or this one.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write_json(path.as_ref(), self)
    }

    /// Reads an evaluation.
    ///
    /// # Errors
    /// When the file can't be read or is no evaluation.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let evaluation: Self = files::read_json(path)?;
        let names = evaluation.class_names.len();
        let classes = evaluation.confusion_matrix.classes();
        if names != classes {
            let message = format!("{names} names for the {classes} classes of the matrix");
            return Err(serde_json::Error::custom(message)).at(path);
        }
        Ok(evaluation)
    }

    /// The policy that the scores were computed with, which shows in what is missing.
    pub(crate) fn absent_class(&self) -> AbsentClass {
        let scored = |name: &String| self.scores.contains_key(&format!("iou/{name}"));
        if self.class_names.iter().all(scored) {
            AbsentClass::Zero
        } else {
            AbsentClass::Skip
        }
    }
}
