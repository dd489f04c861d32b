use candle_core::{Result, Tensor};

use super::CrossEntropyConfig;
use crate::labels::DeviceLabels;

pub(super) fn cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    config: &CrossEntropyConfig<'_>,
) -> Result<Tensor> {
    let labels = DeviceLabels::new(logits, labels, config.ignore_index)?;
    let log_probabilities = candle_nn::ops::log_softmax(&labels.scores(logits)?, 1)?;
    let classes = logits.dim(1)?;
    let weights = match config.class_weights {
        Some(weights) => Tensor::new(weights, logits.device())?,
        None => Tensor::ones(classes, candle_core::DType::F32, logits.device())?,
    };
    let weights = weights.to_dtype(logits.dtype())?;
    let of_pixels = weights
        .index_select(&labels.indices.flatten_all()?, 0)?
        .reshape(labels.indices.shape())?
        .mul(&labels.valid)?;
    let total = of_pixels.sum_all()?;
    // Where there is nothing to divide, nothing is left.
    let total = (total.eq(0.)?.to_dtype(total.dtype())? + total)?;
    let of_labels = log_probabilities
        .contiguous()?
        .gather(&labels.indices.unsqueeze(1)?.contiguous()?, 1)?
        .squeeze(1)?
        .mul(&of_pixels)?
        .sum_all()?;
    if config.smoothing == 0. {
        return (of_labels / total)?.neg();
    }
    let mut class_shape = vec![1; logits.rank()];
    class_shape[1] = classes;
    let of_classes = log_probabilities
        .broadcast_mul(&weights.reshape(class_shape)?)?
        .sum(1)?
        .mul(&labels.valid)?
        .sum_all()?;
    let share = config.smoothing / classes as f64;
    (((of_labels * (1. - config.smoothing))? + (of_classes * share)?)? / total)?.neg()
}
