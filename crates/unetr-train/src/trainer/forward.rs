use candle_core::Tensor;
use unetr_model::{Mode, Precision, SegmentationModel, with_precision};
use unetr_ops::widened;

use crate::loss::auxiliary_cross_entropy;
use crate::{Loss, LossValue, Result};

/// How a network is to compute the `number`th batch of a run: odd multiples of it never meet between
/// seeds by a small offset.
pub(crate) fn train_mode(seed: u64, number: u64) -> Mode {
    let seed = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Mode::Train { seed }
}

/// How a network computes a batch in training.
pub(crate) struct Pass {
    pub(crate) mode: Mode,
    pub(crate) precision: Precision,
    /// Factor of the loss of each auxiliary head.
    pub(crate) auxiliary_weight: f64,
}

impl Pass {
    /// The loss of one batch with its graph, and detached; that of auxiliary heads included.
    pub(crate) fn forward(
        &self,
        model: &dyn SegmentationModel,
        loss: &dyn Loss,
        (images, masks): (&Tensor, &Tensor),
    ) -> Result<(Tensor, LossValue)> {
        let output = with_precision(self.precision, || model.forward_training(images, self.mode))?;
        let mut value = loss.compute(&output.logits, masks)?;
        let losses = output.auxiliary.iter();
        let ignored = loss.ignore_index();
        let losses = losses.map(|logits| auxiliary_cross_entropy(logits, masks, ignored));
        if let Some(sum) = losses.reduce(|sum, loss| sum? + loss?) {
            let sum = sum?;
            value.total = (widened(&value.total)? + (&sum * self.auxiliary_weight)?)?;
            value.parts.push(("auxiliary".to_owned(), sum));
        }
        let parts = value.parts.iter();
        let detached = LossValue {
            total: value.total.detach(),
            parts: parts
                .map(|(name, part)| (name.clone(), part.detach()))
                .collect(),
        };
        Ok((value.total, detached))
    }
}
