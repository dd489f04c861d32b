//! Losses: from logits and labels to one number, and the parts it is made of.

mod cross_entropy;
mod cross_entropy_and_soft_jaccard;
mod soft_jaccard;
mod sum;

use candle_core::{Result, Tensor};

pub use cross_entropy::CrossEntropy;
pub use soft_jaccard::SoftJaccard;
pub use sum::SumLoss;

/// What a loss computes for a batch.
#[derive(Debug, Clone)]
pub struct LossValue {
    /// What is minimised, a scalar.
    pub total: Tensor,
    /// The terms it is made of, by name, scalars.
    pub parts: Vec<(String, Tensor)>,
}

/// How wrong a network's logits are.
pub trait Loss: Send + Sync + std::fmt::Debug {
    /// The loss of a batch, differentiable.
    ///
    /// # Shapes
    /// - `logits`: `[batch, classes, height, width]`
    /// - `labels`: `[batch, height, width]`, integers
    ///
    /// # Errors
    /// When the shapes do not fit or a label is no class.
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue>;
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
