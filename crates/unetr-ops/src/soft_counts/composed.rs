use candle_core::{Result, Tensor};

use crate::labels::DeviceLabels;

pub(super) fn soft_counts(
    logits: &Tensor,
    labels: &Tensor,
    ignore_index: Option<u32>,
) -> Result<Tensor> {
    let (batch, classes) = (logits.dim(0)?, logits.dim(1)?);
    let labels = DeviceLabels::new(logits, labels, ignore_index)?;
    let one_hot = labels.one_hot(logits)?;
    let valid = labels.valid.unsqueeze(1)?;
    let probabilities =
        candle_nn::ops::softmax(&labels.scores(logits)?, 1)?.broadcast_mul(&valid)?;
    let hits = (&probabilities * &one_hot)?;
    let sums = |xs: Tensor| xs.reshape((batch, classes, ()))?.sum(2);
    Tensor::stack(&[sums(hits)?, sums(probabilities)?, sums(one_hot)?], 0)
}
