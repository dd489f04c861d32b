use candle_core::Tensor;
use candle_core::backprop::GradStore;
use unetr_model::{Mode, SegmentationModel};
use unetr_ops::backward;

use crate::{Loss, LossValue, Result};

/// The loss of one batch, detached, and its gradients.
pub(super) fn differentiate(
    model: &dyn SegmentationModel,
    loss: &dyn Loss,
    (images, masks): (&Tensor, &Tensor),
    seed: u64,
) -> Result<(LossValue, GradStore)> {
    let logits = model.forward(images, Mode::Train { seed })?;
    let value = loss.compute(&logits, masks)?;
    drop(logits);
    let gradients = backward(&value.total)?;
    let detached = LossValue {
        total: value.total.detach(),
        parts: value
            .parts
            .iter()
            .map(|(name, part)| (name.clone(), part.detach()))
            .collect(),
    };
    Ok((detached, gradients))
}
