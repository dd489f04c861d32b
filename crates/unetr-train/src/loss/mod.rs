//! Losses: from logits and labels to one number, and the parts it is made of.

mod auxiliary;
mod config;
mod cross_entropy;
mod describe;
mod dice;
mod focal;
mod lovasz;
mod overlap;
mod soft_jaccard;
mod sum;
mod tversky;

use candle_core::{Result, Tensor};

pub(crate) use auxiliary::auxiliary_cross_entropy;
pub use config::{LossConfig, LossKind, LossTerm};
pub use cross_entropy::CrossEntropy;
pub use dice::Dice;
pub use focal::Focal;
pub use lovasz::Lovasz;
pub use soft_jaccard::SoftJaccard;
pub use sum::SumLoss;
pub use tversky::Tversky;
pub use unetr_ops::{ClassMean, JaccardReduction, Region};

/// What a loss computes for a batch.
#[derive(Debug, Clone)]
pub struct LossValue {
    /// What is minimised, a scalar.
    pub total: Tensor,
    /// The terms it is made of, by name, scalars.
    pub parts: Vec<(String, Tensor)>,
}

/// How wrong a network's logits are.
///
/// # Examples
/// ```
/// use candle_core::{Result, Tensor};
/// use unetr_train::{CrossEntropy, Loss, LossValue, SumLoss};
///
/// /// Keeps logits small.
/// #[derive(Debug)]
/// struct SmallLogits;
///
/// impl Loss for SmallLogits {
///     fn compute(&self, logits: &Tensor, _labels: &Tensor) -> Result<LossValue> {
///         Ok(LossValue::single("size", logits.sqr()?.mean_all()?))
///     }
/// }
///
/// let loss = SumLoss::new(CrossEntropy::default()).plus_weighted(1e-4, SmallLogits);
/// ```
pub trait Loss: Send + Sync + std::fmt::Debug {
    /// The loss of a batch, differentiable.
    ///
    /// # Shapes
    /// - `logits`: `[batch, classes, height, width]`
    /// - `labels`: `[batch, height, width]`, integers
    ///
    /// # Errors
    /// When the shapes do not fit, a label is no class, or a setting makes no sense for them.
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue>;

    /// The label that is left out, if there is one: auxiliary heads leave it out then, too.
    fn ignore_index(&self) -> Option<u32> {
        None
    }
}

impl LossValue {
    /// A loss of a single term.
    pub fn single(name: &str, value: Tensor) -> Self {
        Self {
            parts: vec![(name.to_owned(), value.clone())],
            total: value,
        }
    }
}
