use candle_core::{Result, Tensor};

use super::FocalConfig;
use crate::labels::DeviceLabels;

pub(super) fn focal(logits: &Tensor, labels: &Tensor, config: &FocalConfig<'_>) -> Result<Tensor> {
    let labels = DeviceLabels::new(logits, labels, config.ignore_index)?;
    let log_p = candle_nn::ops::log_softmax(&labels.scores(logits)?, 1)?
        .contiguous()?
        .gather(&labels.indices.unsqueeze(1)?.contiguous()?, 1)?
        .squeeze(1)?;
    // Of 0 the power has no gradient where gamma is less than 1.
    let misses = (1. - log_p.exp()?)?.maximum(f64::from(f32::MIN_POSITIVE))?;
    let mut losses = ((misses.powf(config.gamma)? * log_p)? * &labels.valid)?;
    if let Some(weights) = config.class_weights {
        let weights = Tensor::new(weights, logits.device())?.to_dtype(logits.dtype())?;
        let of_pixels = weights.index_select(&labels.indices.flatten_all()?, 0)?;
        losses = (losses * of_pixels.reshape(labels.indices.shape())?)?;
    }
    let count = labels.valid.sum_all()?.maximum(1f64)?;
    (losses.sum_all()? / count)?.neg()
}
