use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use unetr_data::DataLoader;
use unetr_metrics::{BatchCounts, MetricSet};
use unetr_model::{Mode, SegmentationModel, no_grad};

use super::upload::to_device;
use crate::{Loss, LossValue, Result};

/// How many counts may wait on a device until they are read: 64 MB of them. With 3 classes those of
/// a million images do, with 150 those of 700.
const WAITING: usize = 1 << 24;

/// What [`evaluate_images`] measured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DatasetScores {
    /// Means and scores over the data set by name, those of [`evaluate`].
    pub scores: BTreeMap<String, f64>,
    /// Every image's own score, in the order of the loader.
    pub images: Vec<ImageScore>,
}

/// How well an image was predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ImageScore {
    /// Where the sample stands in the data set.
    pub index: usize,
    /// Its mean IoU, see [`MetricSet::image_scores`]; none where all pixels are ignored.
    pub mean_iou: Option<f64>,
}

/// Measures a network on a data set: the mean of the batches' losses as `loss` and its parts, and
/// what `metrics` counts. `metrics` is reset first; `after_batch` is called after every batch.
///
/// On a GPU nothing is read back before the last batch, but where `metrics` has a boundary IoU or
/// the counts of many classes and images would fill the memory.
///
/// It computes in the precision around it, see [`with_precision`](unetr_model::with_precision).
///
/// # Errors
/// When a batch cannot be read or the network or the loss cannot be computed.
///
/// # Examples
/// ```no_run
/// # fn run(
/// #     model: &unetr_model::Unetr, loader: &unetr_data::DataLoader
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use unetr_metrics::MetricSet;
/// use unetr_train::{CrossEntropy, evaluate};
///
/// let mut metrics = MetricSet::new(["background", "road"])?;
/// let device = candle_core::Device::Cpu;
/// let scores = evaluate(model, &CrossEntropy::default(), loader, &mut metrics, &device, || {})?;
/// println!("mean IoU {:.3}, loss {:.3}", scores["mean_iou"], scores["loss"]);
/// # Ok(())
/// # }
/// ```
pub fn evaluate(
    model: &dyn SegmentationModel,
    loss: &dyn Loss,
    loader: &DataLoader,
    metrics: &mut MetricSet,
    device: &Device,
    after_batch: impl FnMut(),
) -> Result<BTreeMap<String, f64>> {
    evaluate_images(model, loss, loader, metrics, device, after_batch)
        .map(|evaluation| evaluation.scores)
}

/// As [`evaluate`], with the score of every image, to find the best and the worst.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_images(
    model: &dyn SegmentationModel,
    loss: &dyn Loss,
    loader: &DataLoader,
    metrics: &mut MetricSet,
    device: &Device,
    mut after_batch: impl FnMut(),
) -> Result<DatasetScores> {
    metrics.reset();
    let mut losses = Losses::default();
    let (mut indices, mut scores) = (Vec::new(), Vec::new());
    let mut waiting: Vec<BatchCounts> = Vec::new();
    for batch in loader.epoch(0) {
        let batch = to_device(batch?, device)?;
        let logits = no_grad(|| model.forward(&batch.images, Mode::Eval))?.detach();
        losses.push(&loss.compute(&logits, &batch.masks)?)?;
        waiting.push(metrics.count(&logits, &batch.masks)?);
        indices.extend(batch.indices);
        let numbers: usize = waiting.iter().map(BatchCounts::waiting).sum();
        if device.is_cpu() || numbers > WAITING {
            scores.extend(metrics.add(waiting.drain(..))?);
        }
        after_batch();
    }
    scores.extend(metrics.add(waiting)?);
    for (name, value) in losses.read()? {
        metrics.update_average(&name, value);
    }
    let images = indices.into_iter().zip(scores);
    Ok(DatasetScores {
        scores: metrics.compute(),
        images: images
            .map(|(index, mean_iou)| ImageScore { index, mean_iou })
            .collect(),
    })
}

/// Losses of batches and their parts, on their device.
#[derive(Default)]
struct Losses {
    names: Vec<String>,
    values: Vec<Tensor>,
}

impl Losses {
    fn push(&mut self, value: &LossValue) -> Result<()> {
        let parts = value.parts.iter().map(|(name, part)| (name.as_str(), part));
        for (name, value) in parts.chain([("loss", &value.total)]) {
            self.names.push(name.to_owned());
            self.values.push(value.detach().to_dtype(DType::F64)?);
        }
        Ok(())
    }

    /// All of them in order, by name.
    fn read(self) -> Result<impl Iterator<Item = (String, f64)>> {
        let values = match &*self.values {
            [] => Vec::new(),
            // host sync: reads the losses of all batches at once
            values => Tensor::stack(values, 0)?.to_vec1()?,
        };
        Ok(self.names.into_iter().zip(values))
    }
}

pub(crate) fn scalar(value: &Tensor) -> Result<f64> {
    Ok(value.to_dtype(DType::F64)?.to_scalar()?)
}
