mod compute;
mod counting;
mod group;
mod image_iou;
mod settings;
mod stored;

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{AbsentClass, Average, BoundaryIou, ConfusionMatrix, Error, Result};
use group::Group;
use image_iou::ImageIou;

/// What is measured on one data set: running means by name, and one confusion matrix.
///
/// [`compute`](Self::compute) gives named numbers, ready for a history, a table or a comparison:
///
/// | name | value |
/// | --- | --- |
/// | whatever was given to [`update_average`](Self::update_average), such as `loss` | mean over the updates |
/// | `accuracy` | share of pixels that are right |
/// | `mean_iou`, `mean_dice` | mean over the classes |
/// | `iou/<class>`, `dice/<class>`, `precision/<class>`, `recall/<class>` | score of the class of that name |
/// | `iou_imagewise/<class>` | mean over the images of the class's IoU in each |
/// | `mean_iou_imagewise` | mean over the images of the mean IoU in each |
/// | `mean_iou_without/<class>` | mean over the other classes, [`with_mean_without`](Self::with_mean_without) |
/// | `iou/<group>`, … `iou_imagewise/<group>` | the same of merged classes, [`with_group`](Self::with_group) |
/// | `boundary_iou/<class>`, `mean_boundary_iou` | see [`BoundaryIou`], [`with_boundary_iou`](Self::with_boundary_iou) |
///
/// Scores are those of the whole data set, but where the name says `imagewise`. In an image that
/// has a class or group neither in its truth nor predicted, its IoU is 1, as with
/// segmentation_models.pytorch's `reduction="micro-imagewise"` for a binary problem; the mean IoU
/// of an image is over the classes that are in its truth or predicted, as torchmetrics' functional
/// `mean_iou` computes it. An image whose pixels are all ignored counts in neither.
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
#[serde(try_from = "stored::Fields")]
pub struct MetricSet {
    class_names: Vec<String>,
    absent_class: AbsentClass,
    averages: BTreeMap<String, Average>,
    confusion_matrix: ConfusionMatrix,
    /// For each mean, the classes it leaves out.
    means_without: Vec<Vec<usize>>,
    groups: Vec<Group>,
    image_iou: ImageIou,
    boundary_iou: Option<BoundaryIou>,
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
            image_iou: ImageIou::new(class_names.len()),
            class_names,
            absent_class: AbsentClass::default(),
            averages: BTreeMap::new(),
            means_without: Vec::new(),
            groups: Vec::new(),
            boundary_iou: None,
        })
    }

    /// Adds a batch.
    ///
    /// # Shapes
    /// - `logits`: `[b, classes, ...]`, floats of any width; each pixel's prediction is the class of
    ///   highest logit, and of equal ones the lowest class
    /// - `labels`: `[b, ...]`, u8, u32, i32 or i64
    ///
    /// # Errors
    /// When a shape doesn't fit or a label is out of range; the set is then unchanged.
    pub fn update(&mut self, logits: &Tensor, labels: &Tensor) -> Result<()> {
        let counts = self.count(logits, labels)?;
        self.add([counts])?;
        Ok(())
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
    /// When the sets have different classes, groups, means or boundaries, or ignore different labels.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.class_names != other.class_names {
            return Err(Error::Merge {
                what: "metrics of different classes",
                left: format!("{:?}", self.class_names),
                right: format!("{:?}", other.class_names),
            });
        }
        let rules = |of: &Self| {
            let groups = of.groups.iter().map(|group| (&group.name, &group.classes));
            let groups: Vec<_> = groups.collect();
            format!("groups {groups:?}, means without {:?}", of.means_without)
        };
        if rules(self) != rules(other) {
            return Err(Error::Merge {
                what: "metrics with different groups or means",
                left: rules(self),
                right: rules(other),
            });
        }
        let mut boundary_iou = self.boundary_iou.clone();
        merge_boundary_iou(&mut boundary_iou, &other.boundary_iou)?;
        self.confusion_matrix.merge(&other.confusion_matrix)?;
        self.boundary_iou = boundary_iou;
        self.image_iou.merge(&other.image_iou);
        for (group, other) in self.groups.iter_mut().zip(&other.groups) {
            group.image_iou.merge(&other.image_iou);
        }
        for (name, average) in &other.averages {
            self.averages
                .entry(name.clone())
                .or_default()
                .merge(average);
        }
        Ok(())
    }

    /// Forgets all batches; classes and settings stay.
    pub fn reset(&mut self) {
        self.averages.clear();
        self.confusion_matrix.reset();
        self.image_iou = ImageIou::new(self.class_names.len());
        for group in &mut self.groups {
            group.image_iou.reset();
        }
        if let Some(boundary) = &mut self.boundary_iou {
            boundary.reset();
        }
    }

    /// The confusion matrix so far.
    pub fn confusion_matrix(&self) -> &ConfusionMatrix {
        &self.confusion_matrix
    }

    /// The names of the classes, in the order of their indices.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }
}

/// Adds the boundary IoU of a part, which has one if the whole has.
fn merge_boundary_iou(whole: &mut Option<BoundaryIou>, part: &Option<BoundaryIou>) -> Result<()> {
    match (whole, part) {
        (Some(whole), Some(part)) => whole.merge(part),
        (None, None) => Ok(()),
        (whole, part) => Err(Error::Merge {
            what: "metrics with and without boundary IoU",
            left: format!("{:?}", whole.as_ref().map(BoundaryIou::dilation_ratio)),
            right: format!("{:?}", part.as_ref().map(BoundaryIou::dilation_ratio)),
        }),
    }
}
