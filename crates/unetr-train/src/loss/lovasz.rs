use std::fmt;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};
use unetr_ops::{ClassMean, LovaszConfig, Region};

use super::describe::{Description, ignoring, overlap_of};
use super::{Loss, LossValue};

/// Lovász-softmax loss (Berman et al. 2018, <https://arxiv.org/abs/1705.08790>), which optimises the mean
/// intersection over union itself; see [`unetr_ops::lovasz_softmax`]. By default it is that of the paper
/// and of segmentation_models.pytorch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lovasz {
    /// What the intersection over union is taken of; the batch by default.
    pub region: Region,
    /// Whose mean the loss is; the classes that are labelled by default.
    pub classes: ClassMean,
    /// The label of pixels that are left out; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<u32>,
}

impl Lovasz {
    /// Checks what can be known without logits.
    pub(super) fn validate(&self) -> crate::Result<()> {
        Ok(self.classes.check("lovasz", usize::MAX)?)
    }
}

impl Loss for Lovasz {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let config = LovaszConfig {
            region: self.region,
            classes: self.classes.clone(),
            ignore_index: self.ignore_index,
        };
        let value = unetr_ops::lovasz_softmax(logits, labels, &config)?;
        Ok(LossValue::single("lovasz", value))
    }

    fn ignore_index(&self) -> Option<u32> {
        self.ignore_index
    }
}

impl fmt::Display for Lovasz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Description::new("Lovász-softmax")
            .detail(overlap_of(self.region, &self.classes))
            .detail(ignoring(self.ignore_index))
            .fmt(f)
    }
}
