use std::fmt;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};
use unetr_ops::JaccardReduction;

use super::describe::{Description, ignoring};
use super::{Loss, LossValue};

/// One minus the soft intersection over union of the batch, see [`unetr_ops::soft_jaccard`].
///
/// Source: the Flax tutorial, <https://flax.readthedocs.io/en/latest/examples/image_segmentation.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftJaccard {
    /// How images and classes are reduced before the division; their mean by default.
    pub reduction: JaccardReduction,
    /// The label of pixels that are left out; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<u32>,
}

impl Loss for SoftJaccard {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let value = unetr_ops::soft_jaccard(logits, labels, self.reduction, self.ignore_index)?;
        Ok(LossValue::single("soft_jaccard", value))
    }

    fn ignore_index(&self) -> Option<u32> {
        self.ignore_index
    }
}

impl fmt::Display for SoftJaccard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Description::new("soft Jaccard")
            .detail(ignoring(self.ignore_index))
            .fmt(f)
    }
}
