use candle_core::{DType, Result, Tensor};

/// The same from Candle's operations, class after class.
pub(super) fn predicted_classes(logits: &Tensor) -> Result<Tensor> {
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
    class.squeeze(1)
}
