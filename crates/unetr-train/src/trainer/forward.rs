use candle_core::Tensor;
use unetr_model::{Mode, Precision, SegmentationModel, with_precision};

use crate::{Loss, LossValue, Result};

/// The loss of one batch with its graph, and detached.
pub(super) fn forward(
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
