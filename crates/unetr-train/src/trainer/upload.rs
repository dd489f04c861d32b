use candle_core::Device;
use unetr_data::{Batch, Normalize};
use unetr_ops::{normalize_images, upload};

use crate::Result;

/// A batch on a device. The host does not wait for a GPU, which also does what was left of the normalisation.
pub(super) fn to_device(batch: Batch, device: &Device) -> Result<Batch> {
    let images = match &batch.normalize {
        Some(Normalize { mean, std }) => normalize_images(&batch.images, *mean, *std, device),
        None => upload(&batch.images, device),
    };
    let extra_masks = batch.extra_masks.iter().map(|mask| upload(mask, device));
    Ok(Batch {
        images: images?,
        normalize: None,
        masks: upload(&batch.masks, device)?,
        extra_masks: extra_masks.collect::<candle_core::Result<_>>()?,
        indices: batch.indices,
    })
}
