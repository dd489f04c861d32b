//! What a run leaves beside its numbers: pictures, and the network for others to use.

use std::path::Path;

use anyhow::{Result, bail};
use candle_core::Device;
use unetr::data::{Classes, DataLoader, Dataset, Image, Normalize, Resize, Transform, sample_rng};
use unetr::metrics::BoundaryIou;
use unetr::model::Unetr;
use unetr::predict::{ModelCard, Segmenter, save_pretrained};
use unetr::train::{
    Checkpoint, Evaluation, Gallery, ImageScore, Loss, PredictionSample, Recipe, RunFolder,
    ScoredSample, Split, evaluate_images,
};

use super::settings::Settings;
use super::task::Task;

/// For the report: the best, median and worst predictions of the validation set, and all that is measured on it, also
/// what takes too long to be measured while training.
pub(super) fn gallery(
    run: &RunFolder,
    (epoch, step): (u64, u64),
    task: &Task,
    (model, loss): (&Unetr, &dyn Loss),
    segmenter: &Segmenter,
    loader: &DataLoader,
    device: &Device,
) -> Result<()> {
    let metrics = task.metrics.clone();
    let mut metrics = metrics.with_boundary_iou(BoundaryIou::DILATION_RATIO)?;
    let images = evaluate_images(model, loss, loader, &mut metrics, device, || {})?.images;
    Evaluation::new(epoch, step, Split::Validation, &metrics).write(run.evaluation())?;
    let score = |image: &ImageScore| image.mean_iou.unwrap_or(f64::NAN);
    let scores: Vec<f64> = images.iter().map(score).collect();
    let chosen = Gallery::choose(&scores, 4);
    let indices = chosen.iter().map(|&(_, place)| images[place].index);
    let pictures = predictions(segmenter, &*task.validation, indices.clone())?;
    let samples = chosen.iter().zip(indices).zip(pictures);
    let samples: Vec<ScoredSample> = samples
        .map(|((&(_, place), index), pictures)| ScoredSample {
            name: task.validation.name(index),
            score: scores[place],
            pictures,
        })
        .collect();
    Gallery::write(run.gallery(), step, &samples, 4, segmenter.classes())?;
    Ok(())
}

/// Predictions for some photos of a data set, at the network's size.
pub(super) fn predictions(
    segmenter: &Segmenter,
    dataset: &dyn Dataset,
    indices: impl Iterator<Item = usize>,
) -> Result<Vec<PredictionSample>> {
    let mut samples = Vec::new();
    for index in indices {
        let resize = Resize::new(segmenter.size());
        let sample = resize.apply(dataset.get(index)?, &mut sample_rng(0, 0, 0))?;
        let Image::U8(image) = sample.image else {
            bail!("{}: expected 8-bit pixels", sample.name);
        };
        samples.push(PredictionSample {
            prediction: segmenter.segment(&image)?.labels,
            image,
            mask: sample.mask,
        });
    }
    Ok(samples)
}

/// Writes the network of a checkpoint for others to use.
pub(super) fn share(
    folder: &Path,
    checkpoint: &Checkpoint,
    settings: &Settings,
    recipe: &Recipe,
    task: &Task,
    normalize: &Normalize,
    classes: &Classes,
) -> Result<()> {
    let (model, parameters) = Unetr::load(checkpoint.path(), &Device::Cpu)?;
    let (training, validation) = (task.train.len(), task.validation.len());
    let encoder = settings.encoder.as_ref().map_or(String::new(), |encoder| {
        // Without folders, which are those of one machine.
        let name = encoder.rsplit(['/', '\\']).next().unwrap_or(encoder);
        format!(" The encoder began with the weights of {name}.")
    });
    let card = ModelCard {
        name: "UNETR".into(),
        data: format!("{training} photos for training, {validation} for validation."),
        training: format!(
            "{} updates of {} photos: {}; {}, {}.{encoder}",
            checkpoint.step(),
            recipe.batch_size,
            recipe.loss,
            recipe.optimizer,
            recipe.schedule
        ),
        metrics: checkpoint.metrics().clone(),
        ..ModelCard::default()
    };
    save_pretrained(folder, &model, &parameters, normalize, classes, &card)?;
    Ok(())
}
