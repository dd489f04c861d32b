use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use unetr_data::DataLoader;
use unetr_metrics::MetricSet;
use unetr_model::{Mode, SegmentationModel, no_grad};

use crate::{Loss, Result};

/// Measures a network on a data set: the mean of the batches' losses as `loss` and its parts, and
/// what `metrics` counts. `metrics` is reset first; `after_batch` is called after every batch.
///
/// # Errors
/// When a batch cannot be read or the network or the loss cannot be computed.
pub fn evaluate(
    model: &dyn SegmentationModel,
    loss: &dyn Loss,
    loader: &DataLoader,
    metrics: &mut MetricSet,
    device: &Device,
    mut after_batch: impl FnMut(),
) -> Result<BTreeMap<String, f64>> {
    metrics.reset();
    for batch in loader.epoch(0) {
        let batch = batch?.to_device(device)?;
        let logits = no_grad(|| model.forward(&batch.images, Mode::Eval))?.detach();
        let value = loss.compute(&logits, &batch.masks)?;
        // host sync: reads the loss and the labels
        metrics.update_average("loss", scalar(&value.total)?);
        for (name, part) in &value.parts {
            metrics.update_average(name, scalar(part)?);
        }
        metrics.update(&logits, &batch.masks)?;
        after_batch();
    }
    Ok(metrics.compute())
}

/// The most probable class of every pixel.
///
/// # Shapes
/// - `images`: `[batch, channels, height, width]`
/// - returns: `[batch, height, width]`, u8
///
/// # Errors
/// When the network cannot take the images.
pub fn predict_labels(model: &dyn SegmentationModel, images: &Tensor) -> Result<Tensor> {
    let logits = no_grad(|| model.forward(images, Mode::Eval))?.detach();
    Ok(logits.argmax(1)?.to_dtype(DType::U8)?)
}

pub(super) fn scalar(value: &Tensor) -> Result<f64> {
    Ok(value.to_dtype(DType::F64)?.to_scalar()?)
}
