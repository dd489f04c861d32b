use candle_core::{DType, Result, Tensor};

use crate::predicted_classes;

/// Elements that a product's operand should have at most: 64 MB of f32.
const OPERAND: usize = 1 << 24;

/// As [`image_confusion_counts`](super::image_confusion_counts), from Candle's operations, without
/// reading anything on the host.
///
/// The matrix of an image is the product of the labels' indicators `[classes, pixels]` and the
/// predictions' `[pixels, classes]`.
pub(super) fn image_confusion_counts(
    logits: &Tensor,
    labels: &Tensor,
    ignore_index: Option<u32>,
) -> Result<Tensor> {
    let (batch, classes) = (labels.dim(0)?, logits.dim(1)?);
    let flat = |xs: &Tensor| xs.reshape((batch, ()))?.to_dtype(DType::I64);
    let labels = flat(&labels.to_device(logits.device())?)?;
    let predictions = flat(&predicted_classes(logits)?)?;
    // f32: exact sums of up to 2^24 ones, which the piece's length stays below.
    let piece = (OPERAND / (batch * classes)).max(1);
    let mut counts = Tensor::zeros((batch, classes * classes + 1), DType::U32, logits.device())?;
    for start in (0..labels.dim(1)?).step_by(piece) {
        let length = piece.min(labels.dim(1)? - start);
        let labels = labels.narrow(1, start, length)?;
        let predictions = predictions.narrow(1, start, length)?;
        counts = (counts + piece_counts(&labels, &predictions, classes, ignore_index)?)?;
    }
    Ok(counts)
}

fn piece_counts(
    labels: &Tensor,
    predictions: &Tensor,
    classes: usize,
    ignore_index: Option<u32>,
) -> Result<Tensor> {
    let (labels, predictions) = (labels.unsqueeze(1)?, predictions.unsqueeze(1)?);
    let class = Tensor::arange(0, classes as i64, labels.device())?.reshape((1, classes, 1))?;
    let keep = match ignore_index {
        Some(ignore_index) => labels.ne(i64::from(ignore_index))?,
        None => labels.ones_like()?,
    };
    let keep = keep.to_dtype(DType::F32)?;
    let truth = labels.broadcast_eq(&class)?.to_dtype(DType::F32)?;
    let predicted = predictions.broadcast_eq(&class)?.to_dtype(DType::F32)?;
    let predicted = predicted.broadcast_mul(&keep)?;
    let matrix = truth.matmul(&predicted.transpose(1, 2)?)?.flatten_from(1)?;
    let strays = (keep.sum(2)? - matrix.sum_keepdim(1)?)?;
    Tensor::cat(&[matrix, strays], 1)?.to_dtype(DType::U32)
}
