use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::labels::class_labels;
use crate::scores::ratio_or_zero;
use crate::{Error, Normalization, Result};

/// How often each class was taken for each other one: rows are the truth, columns the prediction.
///
/// It counts pixels in 64 bits and images besides, and is all that IoU, Dice, accuracy, precision
/// and recall need. The scores of a data set come from one matrix over all its batches; they are
/// not means of the batches' scores.
///
/// # Examples
/// ```
/// # use unetr_metrics::{AbsentClass, ConfusionMatrix};
/// # use candle_core::{Device, Tensor};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let truth = Tensor::new(&[[0u8, 0, 1, 1]], &Device::Cpu)?;
/// let prediction = Tensor::new(&[[0u8, 1, 1, 1]], &Device::Cpu)?;
///
/// let mut matrix = ConfusionMatrix::new(2)?;
/// matrix.update_labels(&prediction, &truth)?;
///
/// assert_eq!(matrix.count(0, 1), 1); // one pixel of class 0 was taken for class 1
/// assert_eq!(matrix.accuracy(), 0.75);
/// assert!((matrix.mean_iou(AbsentClass::Zero) - (1. / 2. + 2. / 3.) / 2.).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct ConfusionMatrix {
    classes: usize,
    ignore_index: Option<u32>,
    images: u64,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// An empty matrix of `classes` rows and columns.
    ///
    /// # Errors
    /// When `classes` is 0.
    pub fn new(classes: usize) -> Result<Self> {
        if classes == 0 {
            return Err(Error::NoClasses);
        }
        Ok(Self {
            classes,
            ignore_index: None,
            images: 0,
            counts: vec![0; classes * classes],
        })
    }

    /// Leaves out pixels whose true label is `label`, whatever was predicted there.
    #[must_use]
    pub fn with_ignore_index(mut self, label: u32) -> Self {
        self.ignore_index = Some(label);
        self
    }

    /// Adds a batch of predicted labels.
    ///
    /// # Shapes
    /// - `predictions` and `labels`: `[b, ...]`, each u8, u32, i32 or i64
    ///
    /// # Errors
    /// When the shapes differ or a label is out of range; the matrix is then unchanged.
    pub fn update_labels(&mut self, predictions: &Tensor, labels: &Tensor) -> Result<()> {
        if predictions.dims() != labels.dims() || labels.rank() == 0 {
            return Err(Error::Shape {
                predictions: predictions.dims().to_vec(),
                labels: labels.dims().to_vec(),
                expected: "the same shape [batch, ...] for both",
            });
        }
        let images = labels.dims()[0];
        self.add(images, class_labels(predictions)?, &class_labels(labels)?)
    }

    fn add(
        &mut self,
        images: usize,
        predictions: impl IntoIterator<Item = i64>,
        labels: &[i64],
    ) -> Result<()> {
        let mut counts = vec![0; self.counts.len()];
        for (prediction, &label) in predictions.into_iter().zip(labels) {
            if let Some(row) = self.row(label)? {
                counts[row * self.classes + self.class("predicted", prediction)?] += 1;
            }
        }
        self.add_counts(images, counts);
        Ok(())
    }

    /// A matrix of so many classes with these counts and the same ignored label.
    pub(crate) fn with_counts(&self, classes: usize, images: u64, counts: Vec<u64>) -> Self {
        Self {
            classes,
            ignore_index: self.ignore_index,
            images,
            counts,
        }
    }

    /// Adds the cells of so many images.
    pub(crate) fn add_counts(&mut self, images: usize, counts: Vec<u64>) {
        self.images += images as u64;
        for (total, count) in self.counts.iter_mut().zip(counts) {
            *total += count;
        }
    }

    /// The row of a true label, unless it is to be ignored.
    pub(crate) fn row(&self, label: i64) -> Result<Option<usize>> {
        if self.ignore_index.map(i64::from) == Some(label) {
            return Ok(None);
        }
        self.class("true", label).map(Some)
    }

    pub(crate) fn class(&self, side: &'static str, value: i64) -> Result<usize> {
        usize::try_from(value)
            .ok()
            .filter(|&class| class < self.classes)
            .ok_or(Error::LabelOutOfRange {
                side,
                value,
                classes: self.classes,
            })
    }

    /// Adds everything that `other` has counted, in another process for example.
    ///
    /// # Errors
    /// When the matrices differ in their number of classes or in the ignored label.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.classes != other.classes {
            return Err(Error::Merge {
                what: "confusion matrices of different classes",
                left: self.classes.to_string(),
                right: other.classes.to_string(),
            });
        }
        if self.ignore_index != other.ignore_index {
            return Err(Error::Merge {
                what: "confusion matrices that ignore different labels",
                left: format!("{:?}", self.ignore_index),
                right: format!("{:?}", other.ignore_index),
            });
        }
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(total, count)| *total += count);
        self.images += other.images;
        Ok(())
    }

    /// Forgets all counts; classes and ignored label stay.
    pub fn reset(&mut self) {
        self.counts.fill(0);
        self.images = 0;
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many images were counted.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// How many pixels of class `truth` were predicted as class `prediction`.
    ///
    /// # Panics
    /// When either is not a class.
    pub fn count(&self, truth: usize, prediction: usize) -> u64 {
        assert!(
            prediction < self.classes,
            "class {prediction} of {}",
            self.classes
        );
        self.counts[truth * self.classes + prediction]
    }

    /// The label that is left out.
    pub(crate) fn ignore_index(&self) -> Option<u32> {
        self.ignore_index
    }

    /// How many pixels were counted.
    pub fn pixels(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The rows of the matrix, divided as `normalization` says. A row or column without a pixel
    /// stays 0.
    pub fn compute(&self, normalization: Normalization) -> Vec<Vec<f64>> {
        let cell = |row: usize, column: usize| {
            let count = self.count(row, column) as f64;
            match normalization {
                Normalization::Counts => count,
                Normalization::Samples => ratio_or_zero(count, self.images as f64),
                Normalization::Recall => ratio_or_zero(count, self.truths(row)),
                Normalization::Precision => ratio_or_zero(count, self.predictions(column)),
            }
        };
        (0..self.classes)
            .map(|row| (0..self.classes).map(|column| cell(row, column)).collect())
            .collect()
    }

    /// Pixels whose true class is `class`.
    pub(crate) fn truths(&self, class: usize) -> f64 {
        (0..self.classes)
            .map(|prediction| self.count(class, prediction))
            .sum::<u64>() as f64
    }

    /// Pixels whose predicted class is `class`.
    pub(crate) fn predictions(&self, class: usize) -> f64 {
        (0..self.classes)
            .map(|truth| self.count(truth, class))
            .sum::<u64>() as f64
    }

    /// Pixels of `class` that were predicted as such.
    pub(crate) fn hits(&self, class: usize) -> f64 {
        self.count(class, class) as f64
    }
}

/// What a stored matrix holds, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    classes: usize,
    ignore_index: Option<u32>,
    images: u64,
    counts: Vec<u64>,
}

impl TryFrom<Fields> for ConfusionMatrix {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let Fields {
            classes,
            ignore_index,
            images,
            counts,
        } = fields;
        if classes == 0 || classes.checked_mul(classes) != Some(counts.len()) {
            return Err(format!(
                "a confusion matrix of {classes} classes has {classes} x {classes} counts, found {}",
                counts.len()
            ));
        }
        let total = counts
            .iter()
            .try_fold(0, |sum: u64, &count| sum.checked_add(count));
        if total.is_none() {
            return Err("the counts of a confusion matrix sum up to more than 64 bits".into());
        }
        Ok(Self {
            classes,
            ignore_index,
            images,
            counts,
        })
    }
}
