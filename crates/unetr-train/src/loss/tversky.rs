use std::fmt;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};
use unetr_ops::{ClassMean, Region};

use super::describe::{Description, ignoring, overlap_of};
use super::overlap::{Overlap, wrapped};
use super::{Loss, LossValue};
use crate::check::{check_not_negative, check_positive};

/// Tversky loss (Salehi et al. 2017, <https://arxiv.org/abs/1706.05721>): the mean over classes and
/// regions of `(1 - T)^exponent`, with `T = (hits + smooth_numerator) / (hits + alpha·false_positives +
/// beta·false_negatives + smooth_denominator)` of soft counts: `Σ p·y`, `Σ p·(1 - y)` and `Σ (1 - p)·y`,
/// of `p` the softmax and `y` the one-hot labels.
///
/// With `alpha = beta = 0.5` it is the Dice loss, with 1 the Jaccard loss; a `beta` above `alpha` asks
/// for more recall. With an exponent it is the focal Tversky loss (Abraham and Khan 2018,
/// <https://arxiv.org/abs/1810.07842>), whose `γ` of 4/3 is an exponent of 3/4 here. By default it is
/// MONAI's `TverskyLoss(softmax=True, to_onehot_y=True)`; that of segmentation_models.pytorch has
/// [`Region::Batch`] and [`ClassMean::Present`], and takes the mean to its `gamma` instead of each class.
///
/// # Examples
/// ```
/// use unetr_train::Tversky;
///
/// let focal = Tversky { alpha: 0.3, beta: 0.7, exponent: 0.75, ..Tversky::default() };
/// assert_eq!(
///     focal.to_string(),
///     "Tversky (alpha 0.3, beta 0.7, exponent 0.75, all classes in each image)"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tversky {
    /// The weight of false positives, at least 0; 0.5 by default.
    pub alpha: f64,
    /// The weight of false negatives, at least 0; 0.5 by default.
    pub beta: f64,
    /// What each class's loss is taken to the power of, above 0; 1 by default. Below 1 the slope grows
    /// without bounds towards a loss of 0, so that losses below 1e-6 have none.
    pub exponent: f64,
    /// What the ratio is taken of; each image by default.
    pub region: Region,
    /// Whose mean the loss is; all classes by default.
    pub classes: ClassMean,
    /// Added above, at least 0; 1e-5 by default.
    pub smooth_numerator: f64,
    /// Added below, above 0; 1e-5 by default.
    pub smooth_denominator: f64,
    /// The label of pixels that are left out; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<u32>,
}

/// Losses below it have no slope under an exponent; f32 gives ratios near 1 to 1e-7.
const LEAST: f64 = 1e-6;

impl Default for Tversky {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            beta: 0.5,
            exponent: 1.,
            region: Region::Image,
            classes: ClassMean::All,
            smooth_numerator: 1e-5,
            smooth_denominator: 1e-5,
            ignore_index: None,
        }
    }
}

impl Tversky {
    /// Checks what can be known without logits.
    pub(super) fn validate(&self) -> crate::Result<()> {
        check_not_negative("alpha of tversky", self.alpha)?;
        check_not_negative("beta of tversky", self.beta)?;
        check_positive("the exponent of tversky", self.exponent)?;
        check_not_negative("smooth_numerator of tversky", self.smooth_numerator)?;
        check_positive("smooth_denominator of tversky", self.smooth_denominator)?;
        Ok(self.classes.check("tversky", usize::MAX)?)
    }
}

impl Loss for Tversky {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        self.validate().map_err(wrapped)?;
        let overlap = Overlap::new(logits, labels, self.region, self.ignore_index)?;
        self.classes.check("tversky", logits.dim(1)?)?;
        let false_positives = (&overlap.predicted - &overlap.hits)?;
        let false_negatives = (&overlap.labelled - &overlap.hits)?;
        let misses = ((false_positives * self.alpha)? + (false_negatives * self.beta)?)?;
        let above = (&overlap.hits + self.smooth_numerator)?;
        let below = ((&overlap.hits + misses)? + self.smooth_denominator)?;
        let mut losses = (1. - (above / below)?)?;
        if self.exponent != 1. {
            losses = losses.maximum(LEAST)?.powf(self.exponent)?;
        }
        let value = overlap.mean(&losses, &self.classes)?;
        Ok(LossValue::single("tversky", value))
    }

    fn ignore_index(&self) -> Option<u32> {
        self.ignore_index
    }
}

impl fmt::Display for Tversky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = format!("alpha {}, beta {}", self.alpha, self.beta);
        Description::new("Tversky")
            .detail(Some(weights))
            .detail((self.exponent != 1.).then(|| format!("exponent {}", self.exponent)))
            .detail(overlap_of(self.region, &self.classes))
            .detail(ignoring(self.ignore_index))
            .fmt(f)
    }
}
