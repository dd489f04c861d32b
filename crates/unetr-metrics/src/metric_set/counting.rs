use candle_core::Tensor;
use unetr_ops::predicted_classes;

use super::image_iou::image_mean_iou;
use super::{MetricSet, merge_boundary_iou};
use crate::{BatchCounts, BoundaryIou, ConfusionMatrix, Error, Result};

/// What is counted in batches, and image by image.
impl MetricSet {
    /// Counts a batch without adding it yet, so that nothing has to wait for a GPU after each batch:
    /// there the counts stay until [`add`](Self::add) reads those of many batches at once.
    ///
    /// # Shapes
    /// As [`update`](Self::update).
    ///
    /// # Errors
    /// When a shape doesn't fit or, on the CPU, a label is out of range.
    pub fn count(&self, logits: &Tensor, labels: &Tensor) -> Result<BatchCounts> {
        let matrices = self.confusion_matrix.count_images(logits, labels)?;
        let boundary_iou = match &self.boundary_iou {
            Some(boundary) if matrices.is_some() => {
                let mut counts = boundary.emptied();
                counts.update_labels(&predicted_classes(logits)?, labels)?;
                Some(counts)
            }
            boundary => boundary.as_ref().map(BoundaryIou::emptied),
        };
        Ok(BatchCounts::new(matrices, labels.dims()[0], boundary_iou))
    }

    /// Adds what [`count`](Self::count) counted, and returns the mean IoU of every image, as
    /// [`image_scores`](Self::image_scores) does.
    ///
    /// # Errors
    /// When a label was out of range or the counts are those of another set; this one is then
    /// unchanged.
    pub fn add(
        &mut self,
        batches: impl IntoIterator<Item = BatchCounts>,
    ) -> Result<Vec<Option<f64>>> {
        let batches: Vec<BatchCounts> = batches.into_iter().collect();
        let images = BatchCounts::read(&batches)?.into_iter().enumerate();
        let images = images.map(|(image, counts)| self.image_matrix(image, &counts));
        let images: Vec<ConfusionMatrix> = images.collect::<Result<_>>()?;
        let mut boundary_iou = self.boundary_iou.clone();
        for batch in &batches {
            merge_boundary_iou(&mut boundary_iou, &batch.boundary_iou)?;
        }
        let mut confusion_matrix = self.confusion_matrix.clone();
        for matrix in &images {
            confusion_matrix.merge(matrix)?;
        }
        (self.boundary_iou, self.confusion_matrix) = (boundary_iou, confusion_matrix);
        for matrix in images.iter().filter(|matrix| matrix.pixels() > 0) {
            self.image_iou.add_image(matrix);
            for group in &mut self.groups {
                group.add_image(matrix);
            }
        }
        Ok(images.iter().map(image_mean_iou).collect())
    }

    /// The matrix of an image as the device counted it: a row for each label, and how many labels
    /// are no class. It is empty where the image has no pixel.
    fn image_matrix(&self, image: usize, counts: &[u32]) -> Result<ConfusionMatrix> {
        let classes = self.class_names.len();
        let cells = match counts {
            [] => vec![0; classes * classes],
            [cells @ .., 0] => cells.iter().map(|&count| count.into()).collect(),
            &[.., pixels] => {
                return Err(Error::StrayLabels {
                    image,
                    pixels,
                    classes,
                });
            }
        };
        if cells.len() != classes * classes {
            return Err(Error::Merge {
                what: "counts of another number of classes",
                left: format!("{} cells", classes * classes),
                right: format!("{} cells", cells.len()),
            });
        }
        Ok(self.confusion_matrix.with_counts(classes, 1, cells))
    }

    /// The mean IoU of every image by itself, over the classes that are in its truth or predicted:
    /// to find the best and the worst. None where all pixels of an image are ignored. Nothing is
    /// added.
    ///
    /// # Shapes
    /// - `predictions` and `labels`: `[b, ...]`, each u8, u32, i32 or i64
    ///
    /// # Errors
    /// When the shapes differ or a label is out of range.
    ///
    /// # Examples
    /// ```
    /// # use unetr_metrics::MetricSet;
    /// # use candle_core::{Device, Tensor};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let metrics = MetricSet::new(["background", "road"])?;
    /// let labels = Tensor::new(&[[0u8, 1, 1], [0, 0, 0]], &Device::Cpu)?;
    /// let predictions = Tensor::new(&[[0u8, 1, 0], [0, 0, 0]], &Device::Cpu)?;
    /// let scores = metrics.image_scores(&predictions, &labels)?;
    /// assert_eq!(scores, [Some(0.5), Some(1.0)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn image_scores(&self, predictions: &Tensor, labels: &Tensor) -> Result<Vec<Option<f64>>> {
        let mut all = self.confusion_matrix.clone();
        all.reset();
        let empty = all.clone();
        // Checks both as a whole.
        all.update_labels(predictions, labels)?;
        let score = |image: usize| {
            let mut matrix = empty.clone();
            let (predictions, labels) = (
                predictions.narrow(0, image, 1)?,
                labels.narrow(0, image, 1)?,
            );
            matrix.update_labels(&predictions, &labels)?;
            Ok(image_mean_iou(&matrix))
        };
        (0..labels.dims()[0]).map(score).collect()
    }
}
