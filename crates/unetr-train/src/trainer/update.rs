use candle_core::Tensor;
use unetr_model::{Mode, SegmentationModel};

use crate::{Loss, LossValue, Optimizer, Result};

/// One update on one batch; gives the loss before it, detached.
pub(super) fn update(
    model: &dyn SegmentationModel,
    loss: &dyn Loss,
    optimizer: &mut dyn Optimizer,
    (images, masks): (&Tensor, &Tensor),
    seed: u64,
    learning_rate: f64,
) -> Result<LossValue> {
    let logits = model.forward(images, Mode::Train { seed })?;
    let value = loss.compute(&logits, masks)?;
    drop(logits);
    let gradients = value.total.backward()?;
    let detached = LossValue {
        total: value.total.detach(),
        parts: value
            .parts
            .iter()
            .map(|(name, part)| (name.clone(), part.detach()))
            .collect(),
    };
    drop(value);
    optimizer.step(&gradients, learning_rate)?;
    Ok(detached)
}
