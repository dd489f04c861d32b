use candle_core::{Result, Tensor};

use super::{Loss, LossValue};

/// Mean cross entropy over all pixels, see [`unetr_ops::cross_entropy`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CrossEntropy;

impl Loss for CrossEntropy {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let value = unetr_ops::cross_entropy(logits, labels)?;
        Ok(LossValue::single("cross_entropy", value))
    }
}
