use candle_core::{Result, Tensor};

use super::JaccardReduction;
use crate::labels::DeviceLabels;

pub(super) fn soft_jaccard(
    logits: &Tensor,
    labels: &Tensor,
    reduction: JaccardReduction,
    ignore_index: Option<u32>,
) -> Result<Tensor> {
    let (batch, classes) = (logits.dim(0)?, logits.dim(1)?);
    let labels = DeviceLabels::new(logits, labels, ignore_index)?;
    let one_hot = labels.one_hot(logits)?;
    let probabilities = candle_nn::ops::softmax(&labels.scores(logits)?, 1)?;
    let products = (&probabilities * &one_hot)?;
    let unions = (((probabilities + one_hot)? - &products)? + 1e-8)?;
    let unions = unions.broadcast_mul(&labels.valid.unsqueeze(1)?)?;
    let intersection = products.reshape((batch, classes, ()))?.sum(2)?;
    let union = unions.reshape((batch, classes, ()))?.sum(2)?;
    let (intersection, union) = match reduction {
        JaccardReduction::Mean => (intersection.mean_all()?, union.mean_all()?),
        JaccardReduction::Sum => (intersection.sum_all()?, union.sum_all()?),
    };
    // A union of nothing is 0, and so is the loss.
    let any = labels.any()?;
    let ratio = (intersection / (union + (1. - &any)?)?)?;
    (1. - ratio)? * any
}
