use candle_core::{DType, Device, Tensor};
use unetr_ops::{confusion_counts, image_confusion_counts};

use crate::labels::class_labels;
use crate::{ConfusionMatrix, Error, Result};

impl ConfusionMatrix {
    /// Adds a batch of logits; each pixel's prediction is the class of highest logit, and of equal
    /// ones the lowest class.
    ///
    /// Logits on a GPU are counted there, so that only a matrix of each image is downloaded.
    ///
    /// # Shapes
    /// - `logits`: `[b, classes, ...]`, floats of any width
    /// - `labels`: `[b, ...]`, u8, u32, i32 or i64
    ///
    /// # Errors
    /// When a shape doesn't fit or a label is out of range; the matrix is then unchanged.
    pub fn update(&mut self, logits: &Tensor, labels: &Tensor) -> Result<()> {
        self.check_batch(logits, labels)?;
        let counts = if labels.elem_count() > 0 {
            self.count_batch(labels, |labels| {
                confusion_counts(logits, labels, self.ignore_index())
            })?
        } else {
            Vec::new()
        };
        self.add_counts(labels.dims()[0], counts);
        Ok(())
    }

    /// The matrix of each image of a batch, see [`image_confusion_counts`]; none where there is no
    /// pixel.
    pub(crate) fn count_images(&self, logits: &Tensor, labels: &Tensor) -> Result<Option<Tensor>> {
        self.check_batch(logits, labels)?;
        if labels.elem_count() == 0 {
            return Ok(None);
        }
        let counts = self.count_batch(labels, |labels| {
            image_confusion_counts(logits, labels, self.ignore_index())
        });
        counts.map(Some)
    }

    fn check_batch(&self, logits: &Tensor, labels: &Tensor) -> Result<()> {
        let (shape, truth) = (logits.dims(), labels.dims());
        let fits = shape.len() >= 2
            && !truth.is_empty()
            && shape[0] == truth[0]
            && shape[2..] == truth[1..];
        if !fits {
            return Err(Error::Shape {
                predictions: shape.to_vec(),
                labels: truth.to_vec(),
                expected: "logits [batch, classes, ...] and labels [batch, ...]",
            });
        }
        if shape[1] != self.classes() {
            return Err(Error::ClassCount {
                shape: shape.to_vec(),
                found: shape[1],
                expected: self.classes(),
            });
        }
        Ok(())
    }

    fn count_batch<R>(
        &self,
        labels: &Tensor,
        operation: impl Fn(&Tensor) -> candle_core::Result<R>,
    ) -> Result<R> {
        let counts = match labels.dtype() {
            DType::I32 => {
                let wide = class_labels(labels)?;
                operation(&Tensor::from_vec(wide, labels.shape(), &Device::Cpu)?)
            }
            _ => operation(labels),
        };
        counts.or_else(|error| {
            // What is wrong with a label, this crate's error says by itself.
            for label in class_labels(labels)? {
                self.row(label)?;
            }
            Err(error.into())
        })
    }
}
