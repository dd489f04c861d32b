use std::fmt;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};
use unetr_ops::{ClassMean, Region};

use super::describe::{Description, ignoring, overlap_of};
use super::overlap::{Overlap, wrapped};
use super::{Loss, LossValue};
use crate::check::{check_not_negative, check_positive};

/// Soft Dice loss (Milletari et al. 2016, <https://arxiv.org/abs/1606.04797>, with probabilities that
/// are not squared): the mean over classes and regions of
/// `1 - (2·Σ p·y + smooth_numerator) / (Σ p + Σ y + smooth_denominator)`, of `p` the softmax and `y` the
/// one-hot labels.
///
/// By default it is MONAI's `DiceLoss(softmax=True, to_onehot_y=True)`, which without the background is
/// `ClassMean::Only(vec![1, 2, …])`, and with `batch=True` [`Region::Batch`]. The `DiceLoss("multiclass")`
/// of segmentation_models.pytorch has [`Region::Batch`], [`ClassMean::Present`], and twice its `smooth`
/// in numerator and denominator; where a class is absent, its mean counts that class as 0, this one not.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_train::{ClassMean, Dice, Loss, Region};
///
/// let logits = Tensor::zeros((2, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// let labels = Tensor::zeros((2, 4, 4), DType::U8, &Device::Cpu)?;
/// let dice = Dice { region: Region::Batch, classes: ClassMean::Present, ..Dice::default() };
/// let loss = dice.compute(&logits, &labels)?.total.to_scalar::<f32>()?;
/// assert!((loss - 0.5).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dice {
    /// What the ratio is taken of; each image by default.
    pub region: Region,
    /// Whose mean the loss is; all classes by default. A class that a region has not then asks for no
    /// prediction of it anywhere.
    pub classes: ClassMean,
    /// Added above, at least 0; 1e-5 by default. With the one below it decides what a class costs that
    /// is neither labelled nor predicted.
    pub smooth_numerator: f64,
    /// Added below, above 0; 1e-5 by default.
    pub smooth_denominator: f64,
    /// The label of pixels that are left out; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<u32>,
}

impl Default for Dice {
    fn default() -> Self {
        Self {
            region: Region::Image,
            classes: ClassMean::All,
            smooth_numerator: 1e-5,
            smooth_denominator: 1e-5,
            ignore_index: None,
        }
    }
}

impl Dice {
    /// Checks what can be known without logits.
    pub(super) fn validate(&self) -> crate::Result<()> {
        check_not_negative("smooth_numerator of dice", self.smooth_numerator)?;
        check_positive("smooth_denominator of dice", self.smooth_denominator)?;
        Ok(self.classes.check("dice", usize::MAX)?)
    }
}

impl Loss for Dice {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        self.validate().map_err(wrapped)?;
        let overlap = Overlap::new(logits, labels, self.region, self.ignore_index)?;
        self.classes.check("dice", logits.dim(1)?)?;
        let above = ((&overlap.hits * 2.)? + self.smooth_numerator)?;
        let below = ((&overlap.predicted + &overlap.labelled)? + self.smooth_denominator)?;
        let losses = (1. - (above / below)?)?;
        let value = overlap.mean(&losses, &self.classes)?;
        Ok(LossValue::single("dice", value))
    }

    fn ignore_index(&self) -> Option<u32> {
        self.ignore_index
    }
}

impl fmt::Display for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Description::new("Dice")
            .detail(overlap_of(self.region, &self.classes))
            .detail(ignoring(self.ignore_index))
            .fmt(f)
    }
}
