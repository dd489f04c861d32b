use std::any::Any;

use candle_core::{Result, Tensor};

use super::cross_entropy_and_soft_jaccard::CrossEntropyAndSoftJaccard;
use super::{CrossEntropy, Loss, LossValue, SoftJaccard};

/// The sum of several losses; its parts are theirs. [`CrossEntropy`] followed by [`SoftJaccard`] is
/// computed in one pass over the logits.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_train::{Loss, SumLoss};
///
/// let logits = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// let labels = Tensor::zeros((1, 4, 4), DType::U8, &Device::Cpu)?;
/// let loss = SumLoss::tutorial().compute(&logits, &labels)?;
/// assert_eq!(loss.parts[0].0, "cross_entropy");
/// assert_eq!(loss.parts[1].0, "soft_jaccard");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SumLoss {
    first: Box<dyn Term>,
    others: Vec<Box<dyn Term>>,
}

/// A loss whose type can be asked for.
trait Term: Loss + Any {}

impl<L: Loss + Any> Term for L {}

impl SumLoss {
    /// Only `first`; [`plus`](Self::plus) adds to it.
    pub fn new(first: impl Loss + 'static) -> Self {
        Self {
            first: Box::new(first),
            others: Vec::new(),
        }
    }

    /// Adds a loss.
    #[must_use]
    pub fn plus(mut self, loss: impl Loss + 'static) -> Self {
        let last = self.others.last_mut().unwrap_or(&mut self.first);
        let follows: &dyn Any = &**last;
        match (&loss as &dyn Any).downcast_ref::<SoftJaccard>() {
            Some(&jaccard) if follows.is::<CrossEntropy>() => {
                *last = Box::new(CrossEntropyAndSoftJaccard(jaccard));
            }
            _ => self.others.push(Box::new(loss)),
        }
        self
    }

    /// The tutorial's: cross entropy and soft Jaccard.
    pub fn tutorial() -> Self {
        Self::new(CrossEntropy).plus(SoftJaccard::default())
    }
}

impl Loss for SumLoss {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let mut sum = self.first.compute(logits, labels)?;
        for loss in &self.others {
            let LossValue { total, parts } = loss.compute(logits, labels)?;
            sum.total = (sum.total + total)?;
            sum.parts.extend(parts);
        }
        Ok(sum)
    }
}
