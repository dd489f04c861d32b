use candle_core::{DType, Result, Tensor};

/// A loss that can be added to others: some of 16-bit scores have 16 bits themselves, others f32.
pub(crate) fn widened(loss: &Tensor) -> Result<Tensor> {
    match loss.dtype() {
        DType::F16 | DType::BF16 => loss.to_dtype(DType::F32),
        _ => Ok(loss.clone()),
    }
}
