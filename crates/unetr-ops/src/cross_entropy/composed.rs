use candle_core::{DType, Result, Tensor};

pub(super) fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let log_probabilities = candle_nn::ops::log_softmax(logits, 1)?;
    let labels = labels.to_dtype(DType::U32)?.unsqueeze(1)?.contiguous()?;
    log_probabilities
        .contiguous()?
        .gather(&labels, 1)?
        .mean_all()?
        .neg()
}
