use candle_core::{DType, Result, Tensor};

use super::OP;
use crate::OpError;

pub(super) fn confusion_counts(
    logits: &Tensor,
    labels: &Tensor,
    ignore: Option<u32>,
) -> Result<Vec<u64>> {
    let classes = logits.dim(1)?;
    // host sync: reads the predicted classes, a fraction of the logits' bytes, and the labels
    let predictions: Vec<u32> = first_argmax(&logits.detach())?.flatten_all()?.to_vec1()?;
    let labels: Vec<i64> = labels.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
    let mut counts = vec![0; classes * classes];
    for (label, prediction) in labels.into_iter().zip(predictions) {
        if Some(label) == ignore.map(i64::from) {
            continue;
        }
        match usize::try_from(label) {
            Ok(row) if row < classes => counts[row * classes + prediction as usize] += 1,
            _ => {
                let op = OP;
                return Err(OpError::Label { op, label, classes }.into());
            }
        }
    }
    Ok(counts)
}

/// The class of highest score. Not `Tensor::argmax`, which leaves open which of several equal scores
/// wins on a GPU.
fn first_argmax(logits: &Tensor) -> Result<Tensor> {
    let first = logits.narrow(1, 0, 1)?;
    let mut best = first.contiguous()?;
    let mut class = first.zeros_like()?.to_dtype(DType::U32)?;
    for c in 1..logits.dim(1)? {
        let candidate = logits.narrow(1, c, 1)?.contiguous()?;
        let index = Tensor::full(c as u32, class.shape(), class.device())?;
        let better = candidate.gt(&best)?;
        class = better.where_cond(&index, &class)?;
        best = better.where_cond(&candidate, &best)?;
    }
    Ok(class)
}
