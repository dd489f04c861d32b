use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::labels::class_labels;
use crate::scores::mean;
use crate::{AbsentClass, ConfusionMatrix, Error, Result, boundary};

/// Boundary IoU: the IoU of the inner boundaries of truth and prediction, which tells how sharp
/// the outlines are, whatever the size of what they enclose.
///
/// The boundary of a class are its pixels that are at most `d` pixels from another class or from
/// outside the image, in either direction, where `d` is the diagonal times the dilation ratio,
/// rounded, at least 1: the mask less its erosion by `d` iterations of a 3x3 square. Intersections
/// and unions are summed over all images. Pixels with the ignored label belong to no class on
/// either side, so they bound the prediction as they bound the truth.
///
/// It costs a pass over the labels of truth and prediction, whatever `d` and the number of
/// classes; images are spread over the threads. Labels on a GPU are downloaded.
///
/// Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (2021),
/// section 4, <https://arxiv.org/abs/2103.16562>; the values are those of the authors'
/// `mask_to_boundary` (<https://github.com/bowenc0221/boundary-iou-api>).
///
/// # Examples
/// ```
/// # use unetr_metrics::{AbsentClass, BoundaryIou};
/// # use candle_core::{Device, Tensor};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let truth = Tensor::new(&[[[0u8, 0, 1, 1], [0, 0, 1, 1]]], &Device::Cpu)?;
/// let mut boundary = BoundaryIou::new(2)?;
/// boundary.update_labels(&truth, &truth)?;
/// assert_eq!(boundary.mean_iou(AbsentClass::Zero), 1.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct BoundaryIou {
    dilation_ratio: f64,
    ignore_index: Option<u32>,
    intersections: Vec<u64>,
    unions: Vec<u64>,
}

impl BoundaryIou {
    /// The paper's dilation ratio: 2 % of the diagonal, 7 pixels at 256 x 256.
    pub const DILATION_RATIO: f64 = 0.02;

    /// An empty metric of so many classes with the paper's dilation ratio.
    ///
    /// # Errors
    /// When `classes` is 0.
    pub fn new(classes: usize) -> Result<Self> {
        if classes == 0 {
            return Err(Error::NoClasses);
        }
        Ok(Self {
            dilation_ratio: Self::DILATION_RATIO,
            ignore_index: None,
            intersections: vec![0; classes],
            unions: vec![0; classes],
        })
    }

    /// Sets how wide a boundary is, as a share of the image's diagonal. The paper takes 0.005 for
    /// Cityscapes, whose images are large.
    ///
    /// # Errors
    /// When the ratio is not more than 0 and at most 1.
    pub fn with_dilation_ratio(mut self, ratio: f64) -> Result<Self> {
        check_ratio(ratio)?;
        self.dilation_ratio = ratio;
        Ok(self)
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
    /// - `predictions` and `labels`: `[b, height, width]`, each u8, u32, i32 or i64
    ///
    /// # Errors
    /// When the shapes differ or a label is out of range; nothing is counted then.
    pub fn update_labels(&mut self, predictions: &Tensor, labels: &Tensor) -> Result<()> {
        let &[_, height, width] = labels.dims() else {
            return Err(self.shape_error(predictions, labels));
        };
        if predictions.dims() != labels.dims() {
            return Err(self.shape_error(predictions, labels));
        }
        if labels.elem_count() == 0 {
            return Ok(());
        }
        let rules = ConfusionMatrix::new(self.classes())?;
        let rules = match self.ignore_index {
            Some(label) => rules.with_ignore_index(label),
            None => rules,
        };
        let distance = boundary::distance(height, width, self.dilation_ratio);
        let (predictions, truth) = (class_labels(predictions)?, class_labels(labels)?);
        let images = predictions.par_chunks(height * width);
        let images = images.zip(truth.par_chunks(height * width));
        let counts: Vec<Result<boundary::Counts>> = images
            .map(|(predictions, truth)| {
                let labels = boundary::Labels::new(predictions, truth, &rules)?;
                Ok(labels.count(width, distance, rules.classes()))
            })
            .collect();
        let counts: Vec<boundary::Counts> = counts.into_iter().collect::<Result<_>>()?;
        for image in counts {
            add(&mut self.intersections, &image.intersections);
            add(&mut self.unions, &image.unions);
        }
        Ok(())
    }

    fn shape_error(&self, predictions: &Tensor, labels: &Tensor) -> Error {
        Error::Shape {
            predictions: predictions.dims().to_vec(),
            labels: labels.dims().to_vec(),
            expected: "the same shape [batch, height, width] for both, as boundary IoU needs",
        }
    }

    /// Adds everything that `other` has counted.
    ///
    /// # Errors
    /// When the two differ in their number of classes, dilation ratio or ignored label.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let rules = |of: &Self| {
            let (classes, ratio) = (of.classes(), of.dilation_ratio);
            format!(
                "{classes} classes, dilation ratio {ratio}, ignored {:?}",
                of.ignore_index
            )
        };
        if rules(self) != rules(other) {
            return Err(Error::Merge {
                what: "boundary IoU of different rules",
                left: rules(self),
                right: rules(other),
            });
        }
        add(&mut self.intersections, &other.intersections);
        add(&mut self.unions, &other.unions);
        Ok(())
    }

    /// Forgets all counts; classes, dilation ratio and ignored label stay.
    pub fn reset(&mut self) {
        self.intersections.fill(0);
        self.unions.fill(0);
    }

    /// The same rules without any counts.
    pub(crate) fn emptied(&self) -> Self {
        let mut empty = self.clone();
        empty.reset();
        empty
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.unions.len()
    }

    /// How wide a boundary is, as a share of the image's diagonal.
    pub fn dilation_ratio(&self) -> f64 {
        self.dilation_ratio
    }

    /// Boundary IoU of every class.
    pub fn iou(&self, absent: AbsentClass) -> Vec<Option<f64>> {
        let counts = self.intersections.iter().zip(&self.unions);
        counts
            .map(|(&intersection, &union)| absent.ratio(intersection as f64, union as f64))
            .collect()
    }

    /// The mean of [`iou`](Self::iou) over the classes that have one; NaN when none has.
    pub fn mean_iou(&self, absent: AbsentClass) -> f64 {
        mean(&self.iou(absent))
    }
}

fn check_ratio(found: f64) -> Result<()> {
    // A NaN is neither.
    if found > 0.0 && found <= 1.0 {
        return Ok(());
    }
    Err(Error::DilationRatio { found })
}

fn add(totals: &mut [u64], counts: &[u64]) {
    for (total, count) in totals.iter_mut().zip(counts) {
        *total += count;
    }
}

/// What a stored metric holds, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    dilation_ratio: f64,
    ignore_index: Option<u32>,
    intersections: Vec<u64>,
    unions: Vec<u64>,
}

impl TryFrom<Fields> for BoundaryIou {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let Fields {
            dilation_ratio,
            ignore_index,
            intersections,
            unions,
        } = fields;
        check_ratio(dilation_ratio).map_err(|error| error.to_string())?;
        if unions.is_empty() || unions.len() != intersections.len() {
            return Err(format!(
                "boundary IoU has an intersection and a union for each class, found {} and {}",
                intersections.len(),
                unions.len()
            ));
        }
        Ok(Self {
            dilation_ratio,
            ignore_index,
            intersections,
            unions,
        })
    }
}
