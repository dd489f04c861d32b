//! The classes of highest score, and how often each was taken for each other one.

use candle_core::{DType, Device, Result, Tensor};

use super::launch::suffix;
use super::pixels::{Labels, Scores};
use super::{Array, args, launch};

/// Bytes of shared memory that every GPU gives a block.
const SHARED: usize = 48 << 10;

/// The [`predicted_classes`](crate::predicted_classes()) in a tensor of `shape`.
pub(crate) fn predicted_classes(scores: &Scores, shape: Vec<usize>) -> Result<Tensor> {
    let device = scores.array.device();
    let classes = Array::empty(device, DType::U32, shape)?;
    let args = args![
        &scores.array,
        &classes,
        scores.chunks(),
        scores.pixels,
        scores.classes
    ];
    let kernel = format!("predicted_classes_{}", suffix(scores.array.dtype()));
    launch(device, "counts", &kernel, scores.launch(0), args)?;
    classes.into_tensor()
}

/// The [`image_confusion_counts`](crate::image_confusion_counts()), unless there are too many classes.
pub(crate) fn image_confusion_counts(scores: &Scores, labels: &Labels) -> Result<Option<Tensor>> {
    let cells = scores.classes * scores.classes + 1;
    let shared = cells * size_of::<u32>();
    if shared > SHARED {
        return Ok(None);
    }
    let device = scores.array.device();
    let counts = Tensor::zeros(
        (scores.batch, cells),
        DType::U32,
        &Device::Cuda(device.clone()),
    )?;
    let args = args![
        &scores.array,
        &labels.array,
        &Array::of(&counts)?,
        labels.bytes(),
        scores.chunks(),
        scores.pixels,
        scores.classes,
        labels.ignore_index
    ];
    let kernel = format!("confusion_counts_{}", suffix(scores.array.dtype()));
    launch(device, "counts", &kernel, scores.launch(shared), args)?;
    Ok(Some(counts))
}
