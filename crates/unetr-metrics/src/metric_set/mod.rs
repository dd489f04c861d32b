use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{AbsentClass, Average, ConfusionMatrix, Error, Result};

/// What is measured on one data set: running means by name, and one confusion matrix.
///
/// [`compute`](Self::compute) gives named numbers, ready for a history, a table or a comparison:
///
/// | name | value |
/// | --- | --- |
/// | whatever was given to [`update_average`](Self::update_average), such as `loss` | mean over the updates |
/// | `accuracy` | share of pixels that are right |
/// | `mean_iou`, `mean_dice` | mean over the classes |
/// | `iou/<class>` | IoU of the class of that name |
///
/// # Examples
/// ```
/// # use unetr_metrics::MetricSet;
/// # use candle_core::{Device, Tensor};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut metrics = MetricSet::new(["pet", "background", "boundary"])?;
/// // for every batch:
/// # let logits = Tensor::new(&[[[2f32, 0.], [0., 1.], [0., 0.]]], &Device::Cpu)?;
/// # let labels = Tensor::new(&[[0u8, 1]], &Device::Cpu)?;
/// metrics.update(&logits, &labels)?;
/// metrics.update_average("loss", 0.7);
///
/// let scores = metrics.compute();
/// assert_eq!(scores["loss"], 0.7);
/// assert_eq!(scores["accuracy"], 1.0);
/// assert_eq!(scores["iou/pet"], 1.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSet {
    class_names: Vec<String>,
    absent_class: AbsentClass,
    averages: BTreeMap<String, Average>,
    confusion_matrix: ConfusionMatrix,
}

impl MetricSet {
    /// An empty set for classes of these names, in the order of their indices.
    ///
    /// # Errors
    /// When there is no class or two have the same name.
    pub fn new<S: Into<String>>(class_names: impl IntoIterator<Item = S>) -> Result<Self> {
        let class_names: Vec<String> = class_names.into_iter().map(Into::into).collect();
        for (index, name) in class_names.iter().enumerate() {
            if class_names[..index].contains(name) {
                return Err(Error::DuplicateClass { name: name.clone() });
            }
        }
        Ok(Self {
            confusion_matrix: ConfusionMatrix::new(class_names.len())?,
            class_names,
            absent_class: AbsentClass::default(),
            averages: BTreeMap::new(),
        })
    }

    /// Sets what classes that never occur do to the scores; [`AbsentClass::Zero`] by default.
    #[must_use]
    pub fn with_absent_class(mut self, policy: AbsentClass) -> Self {
        self.absent_class = policy;
        self
    }

    /// Leaves out pixels whose true label is `label`.
    #[must_use]
    pub fn with_ignore_index(mut self, label: u32) -> Self {
        self.confusion_matrix = self.confusion_matrix.with_ignore_index(label);
        self
    }

    /// Adds a batch to the confusion matrix, see [`ConfusionMatrix::update`].
    ///
    /// # Shapes
    /// - `logits`: `[b, classes, ...]`
    /// - `labels`: `[b, ...]`
    ///
    /// # Errors
    /// When a shape doesn't fit or a label is out of range.
    pub fn update(&mut self, logits: &Tensor, labels: &Tensor) -> Result<()> {
        self.confusion_matrix.update(logits, labels)
    }

    /// Adds a value to the running mean of that name, which begins with its first value.
    pub fn update_average(&mut self, name: &str, value: f64) {
        match self.averages.get_mut(name) {
            Some(average) => average.update(value),
            None => self
                .averages
                .entry(name.to_owned())
                .or_default()
                .update(value),
        }
    }

    /// Adds everything that `other` has seen.
    ///
    /// # Errors
    /// When the sets have different classes or ignore different labels.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.class_names != other.class_names {
            return Err(Error::Merge {
                what: "metrics of different classes",
                left: format!("{:?}", self.class_names),
                right: format!("{:?}", other.class_names),
            });
        }
        self.confusion_matrix.merge(&other.confusion_matrix)?;
        for (name, average) in &other.averages {
            self.averages
                .entry(name.clone())
                .or_default()
                .merge(average);
        }
        Ok(())
    }

    /// Forgets all batches; classes and policies stay.
    pub fn reset(&mut self) {
        self.averages.clear();
        self.confusion_matrix.reset();
    }

    /// The confusion matrix so far.
    pub fn confusion_matrix(&self) -> &ConfusionMatrix {
        &self.confusion_matrix
    }

    /// The names of the classes, in the order of their indices.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// All numbers by name, see [`MetricSet`].
    ///
    /// A class without a score under [`AbsentClass::Skip`] has no entry. Where no pixel was
    /// counted, there are only the running means.
    pub fn compute(&self) -> BTreeMap<String, f64> {
        let mut scores: BTreeMap<String, f64> = self
            .averages
            .iter()
            .map(|(name, average)| (name.clone(), average.compute()))
            .collect();
        let matrix = &self.confusion_matrix;
        if matrix.pixels() > 0 {
            scores.insert("accuracy".to_owned(), matrix.accuracy());
            scores.insert("mean_iou".to_owned(), matrix.mean_iou(self.absent_class));
            scores.insert("mean_dice".to_owned(), matrix.mean_dice(self.absent_class));
            for (name, iou) in self.class_names.iter().zip(matrix.iou(self.absent_class)) {
                scores.extend(iou.map(|iou| (format!("iou/{name}"), iou)));
            }
        }
        scores
    }
}
