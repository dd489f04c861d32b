use candle_core::Tensor;

use crate::{BoundaryIou, Result};

/// What a [`MetricSet`](crate::MetricSet) counts in a batch, on the device of the logits until
/// [`add`](crate::MetricSet::add) reads it.
#[derive(Debug, Clone)]
pub struct BatchCounts {
    /// `[batch, classes · classes + 1]`, see [`unetr_ops::image_confusion_counts`]; none where the
    /// batch has no pixel.
    matrices: Option<Tensor>,
    images: usize,
    pub(crate) boundary_iou: Option<BoundaryIou>,
}

impl BatchCounts {
    pub(crate) fn new(
        matrices: Option<Tensor>,
        images: usize,
        boundary_iou: Option<BoundaryIou>,
    ) -> Self {
        Self {
            matrices,
            images,
            boundary_iou,
        }
    }

    /// How many numbers wait on the device, 4 bytes each.
    pub fn waiting(&self) -> usize {
        self.matrices.as_ref().map_or(0, Tensor::elem_count)
    }

    /// The numbers of every image of several batches, in order; none for an image without a pixel.
    pub(crate) fn read(batches: &[Self]) -> Result<Vec<Vec<u32>>> {
        let matrices: Vec<&Tensor> = batches.iter().filter_map(|b| b.matrices.as_ref()).collect();
        let mut rows = match &*matrices {
            [] => Vec::new(),
            // host sync: reads the counts of all batches at once
            _ => Tensor::cat(&matrices, 0)?.to_vec2()?,
        }
        .into_iter();
        let mut images = Vec::new();
        for batch in batches {
            match batch.matrices {
                Some(_) => images.extend(rows.by_ref().take(batch.images)),
                None => images.resize(images.len() + batch.images, Vec::new()),
            }
        }
        Ok(images)
    }
}
