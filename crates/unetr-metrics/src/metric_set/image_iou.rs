use serde::{Deserialize, Serialize};

use crate::{AbsentClass, Average, ConfusionMatrix};

/// Means over the images of what each scores by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageIou {
    /// Of every class.
    pub(super) classes: Vec<Average>,
    /// Of the images' mean IoU.
    pub(super) mean: Average,
}

impl ImageIou {
    pub(super) fn new(classes: usize) -> Self {
        Self {
            classes: vec![Average::default(); classes],
            mean: Average::default(),
        }
    }

    pub(super) fn add_image(&mut self, matrix: &ConfusionMatrix) {
        for (average, iou) in self.classes.iter_mut().zip(image_iou(matrix)) {
            average.update(iou);
        }
        if let Some(mean) = image_mean_iou(matrix) {
            self.mean.update(mean);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (average, other) in self.classes.iter_mut().zip(&other.classes) {
            average.merge(other);
        }
        self.mean.merge(&other.mean);
    }
}

/// The IoU of every class in an image; 1 where it is neither in the truth nor predicted, since
/// nothing is wrong there.
pub(super) fn image_iou(matrix: &ConfusionMatrix) -> Vec<f64> {
    let iou = matrix.iou(AbsentClass::Skip).into_iter();
    iou.map(|iou| iou.unwrap_or(1.0)).collect()
}

/// The mean IoU of an image over the classes that are in its truth or predicted; none where all of
/// its pixels are ignored.
pub(super) fn image_mean_iou(matrix: &ConfusionMatrix) -> Option<f64> {
    (matrix.pixels() > 0).then(|| matrix.mean_iou(AbsentClass::Skip))
}
