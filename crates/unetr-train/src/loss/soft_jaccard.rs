use candle_core::{Result, Tensor};
use unetr_ops::JaccardReduction;

use super::{Loss, LossValue};

/// One minus the soft intersection over union of the batch, see [`unetr_ops::soft_jaccard`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoftJaccard {
    /// How images and classes are reduced before the division.
    pub reduction: JaccardReduction,
}

impl Loss for SoftJaccard {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let value = unetr_ops::soft_jaccard(logits, labels, self.reduction)?;
        Ok(LossValue::single("soft_jaccard", value))
    }
}
