use candle_core::Tensor;
use unetr_model::{Mode, Precision, SegmentationModel, with_precision};

use crate::{Loss, LossValue, Result};

/// How a network is to compute the `number`th batch of a run: odd multiples of it never meet between
/// seeds by a small offset.
pub(crate) fn train_mode(seed: u64, number: u64) -> Mode {
    let seed = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Mode::Train { seed }
}

/// The loss of one batch with its graph, and detached.
pub(crate) fn forward(
    model: &dyn SegmentationModel,
    loss: &dyn Loss,
    (images, masks): (&Tensor, &Tensor),
    mode: Mode,
    precision: Precision,
) -> Result<(Tensor, LossValue)> {
    let logits = with_precision(precision, || model.forward(images, mode))?;
    let value = loss.compute(&logits, masks)?;
    let parts = value.parts.iter();
    let detached = LossValue {
        total: value.total.detach(),
        parts: parts
            .map(|(name, part)| (name.clone(), part.detach()))
            .collect(),
    };
    Ok((value.total, detached))
}
