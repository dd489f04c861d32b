use std::fmt;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};
use unetr_ops::FocalConfig;

use super::describe::{Description, ignoring};
use super::{Loss, LossValue};

/// Focal loss (Lin et al. 2017, <https://arxiv.org/abs/1708.02002>), cross entropy in which pixels that
/// are right count less; see [`unetr_ops::focal`]. MONAI's `FocalLoss(use_softmax=True)` is this one
/// divided by the number of classes, over which it takes the mean too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Focal {
    /// How little pixels count that are right, at least 0; 2 by default. With 0 it is cross entropy.
    pub gamma: f64,
    /// The weight of every class, at least 0; none by default, which is 1 for all. The number of pixels
    /// divides their sum, not the weights' as in [`CrossEntropy`](super::CrossEntropy).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<Vec<f32>>,
    /// The label of pixels that are left out; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<u32>,
}

impl Default for Focal {
    fn default() -> Self {
        Self {
            gamma: 2.,
            class_weights: None,
            ignore_index: None,
        }
    }
}

impl Focal {
    fn config(&self) -> FocalConfig<'_> {
        FocalConfig {
            gamma: self.gamma,
            class_weights: self.class_weights.as_deref(),
            ignore_index: self.ignore_index,
        }
    }

    /// Checks what can be known without logits.
    pub(super) fn validate(&self) -> crate::Result<()> {
        let classes = self.class_weights.as_ref().map_or(1, Vec::len);
        Ok(self.config().check(classes)?)
    }
}

impl Loss for Focal {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let value = unetr_ops::focal(logits, labels, &self.config())?;
        Ok(LossValue::single("focal", value))
    }

    fn ignore_index(&self) -> Option<u32> {
        self.ignore_index
    }
}

impl fmt::Display for Focal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = self.class_weights.as_ref();
        Description::new("focal")
            .detail(Some(format!("gamma {}", self.gamma)))
            .detail(weights.map(|weights| format!("class weights {weights:?}")))
            .detail(ignoring(self.ignore_index))
            .fmt(f)
    }
}
