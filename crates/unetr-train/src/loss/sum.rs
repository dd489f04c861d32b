use std::any::Any;

use candle_core::{Result, Tensor};
use unetr_ops::{cross_entropy_and_soft_jaccard, widened};

use super::overlap::wrapped;
use super::{CrossEntropy, Loss, LossValue, SoftJaccard};
use crate::check::check_not_negative;

/// The weighted sum of several losses; its parts are theirs, without the weights. [`CrossEntropy`]
/// followed by [`SoftJaccard`], both ignoring the same, is computed in one pass over the logits.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_train::{CrossEntropy, Dice, Loss, SumLoss};
///
/// let logits = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// let labels = Tensor::zeros((1, 4, 4), DType::U8, &Device::Cpu)?;
/// let loss = SumLoss::new(CrossEntropy::default()).plus_weighted(0.5, Dice::default());
/// let loss = loss.compute(&logits, &labels)?;
/// assert_eq!(loss.parts[0].0, "cross_entropy");
/// assert_eq!(loss.parts[1].0, "dice");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SumLoss {
    terms: Vec<WeightedTerm>,
}

#[derive(Debug)]
struct WeightedTerm {
    weight: f64,
    loss: Box<dyn Term>,
}

/// A loss whose type can be asked for.
trait Term: Loss + Any {}

impl<L: Loss + Any> Term for L {}

impl SumLoss {
    /// Only `first`; [`plus`](Self::plus) adds to it.
    pub fn new(first: impl Loss + 'static) -> Self {
        Self::weighted(1., first)
    }

    /// Only `first`, times `weight`.
    pub fn weighted(weight: f64, first: impl Loss + 'static) -> Self {
        Self::empty().plus_weighted(weight, first)
    }

    /// To begin with.
    pub(super) fn empty() -> Self {
        Self { terms: Vec::new() }
    }

    /// Adds a loss.
    #[must_use]
    pub fn plus(self, loss: impl Loss + 'static) -> Self {
        self.plus_weighted(1., loss)
    }

    /// Adds a loss times `weight`, a finite number of at least 0.
    #[must_use]
    pub fn plus_weighted(mut self, weight: f64, loss: impl Loss + 'static) -> Self {
        let loss = Box::new(loss);
        self.terms.push(WeightedTerm { weight, loss });
        self
    }

    /// The tutorial's: cross entropy and soft Jaccard.
    ///
    /// Source: <https://flax.readthedocs.io/en/latest/examples/image_segmentation.html>
    pub fn tutorial() -> Self {
        Self::new(CrossEntropy::default()).plus(SoftJaccard::default())
    }
}

impl WeightedTerm {
    fn is<L: Loss + 'static>(&self) -> Option<&L> {
        (&*self.loss as &dyn Any).downcast_ref()
    }

    /// Both losses in one pass, if there is one.
    fn with(
        &self,
        next: &Self,
        logits: &Tensor,
        labels: &Tensor,
    ) -> Option<Result<[LossValue; 2]>> {
        let (entropy, jaccard) = (self.is::<CrossEntropy>()?, next.is::<SoftJaccard>()?);
        if entropy.ignore_index != jaccard.ignore_index {
            return None;
        }
        let config = entropy.config();
        let both = cross_entropy_and_soft_jaccard(logits, labels, &config, jaccard.reduction);
        Some(both.map(|(entropy, jaccard)| {
            [
                LossValue::single("cross_entropy", entropy),
                LossValue::single("soft_jaccard", jaccard),
            ]
        }))
    }

    fn weigh(&self, value: &Tensor) -> Result<Tensor> {
        check_not_negative("the weight of a loss", self.weight).map_err(wrapped)?;
        // Some losses of 16-bit scores have 16 bits themselves, others f32.
        let value = widened(value)?;
        if self.weight == 1. {
            return Ok(value);
        }
        value * self.weight
    }
}

impl Loss for SumLoss {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let mut values = Vec::with_capacity(self.terms.len());
        let mut terms = self.terms.as_slice();
        while let [first, others @ ..] = terms {
            let both = others
                .first()
                .and_then(|next| first.with(next, logits, labels));
            match both {
                Some(both) => values.extend(both?),
                None => values.push(first.loss.compute(logits, labels)?),
            }
            terms = &self.terms[values.len()..];
        }
        let mut totals = Vec::with_capacity(values.len());
        let mut parts = Vec::new();
        for (term, value) in self.terms.iter().zip(values) {
            totals.push(term.weigh(&value.total)?);
            parts.extend(value.parts);
        }
        let total = totals
            .into_iter()
            .map(Ok)
            .reduce(|sum, total| sum? + total?);
        match total {
            Some(total) => Ok(LossValue {
                total: total?,
                parts,
            }),
            None => candle_core::bail!("a sum of no loss"),
        }
    }

    /// That of all terms, if they have the same.
    fn ignore_index(&self) -> Option<u32> {
        let mut labels = self.terms.iter().map(|term| term.loss.ignore_index());
        let first = labels.next()??;
        labels.all(|label| label == Some(first)).then_some(first)
    }
}
