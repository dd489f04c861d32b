use candle_core::{Result, Tensor};

use super::{CrossEntropy, Loss, LossValue, SoftJaccard};

/// The sum of several losses; its parts are theirs.
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
    first: Box<dyn Loss>,
    others: Vec<Box<dyn Loss>>,
}

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
        self.others.push(Box::new(loss));
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
