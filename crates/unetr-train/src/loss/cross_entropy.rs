use std::fmt;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};
use unetr_ops::CrossEntropyConfig;

use super::describe::{Description, ignoring};
use super::{Loss, LossValue};

/// Mean cross entropy over all pixels, `torch.nn.CrossEntropyLoss`; see [`unetr_ops::cross_entropy`].
///
/// # Examples
/// ```
/// # use unetr_train::CrossEntropy;
/// let loss = CrossEntropy {
///     class_weights: Some(vec![1.0, 0.5, 4.0]),
///     ignore_index: Some(255),
///     ..CrossEntropy::default()
/// };
/// assert_eq!(loss.to_string(), "cross entropy (class weights [1.0, 0.5, 4.0], ignoring 255)");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropy {
    /// The weight of every class, at least 0; none by default, which is 1 for all. The mean is
    /// weighted: the sum of the weights of all pixels divides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<Vec<f32>>,
    /// How much of a label is spread evenly over all classes, from 0 to 1; 0 by default.
    pub smoothing: f64,
    /// The label of pixels that are left out; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<u32>,
}

impl CrossEntropy {
    pub(super) fn config(&self) -> CrossEntropyConfig<'_> {
        CrossEntropyConfig {
            class_weights: self.class_weights.as_deref(),
            smoothing: self.smoothing,
            ignore_index: self.ignore_index,
        }
    }

    /// Checks what can be known without logits.
    pub(super) fn validate(&self) -> crate::Result<()> {
        let classes = self.class_weights.as_ref().map_or(1, Vec::len);
        Ok(self.config().check(classes)?)
    }
}

impl Loss for CrossEntropy {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let value = unetr_ops::cross_entropy(logits, labels, &self.config())?;
        Ok(LossValue::single("cross_entropy", value))
    }

    fn ignore_index(&self) -> Option<u32> {
        self.ignore_index
    }
}

impl fmt::Display for CrossEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = self.class_weights.as_ref();
        Description::new("cross entropy")
            .detail(weights.map(|weights| format!("class weights {weights:?}")))
            .detail((self.smoothing != 0.).then(|| format!("smoothing {}", self.smoothing)))
            .detail(ignoring(self.ignore_index))
            .fmt(f)
    }
}
