//! Evaluation of a network that is known pixel by pixel.

use candle_core::{DType, Device, Tensor};
use image::{GrayImage, Luma, Rgb, RgbImage};
use unetr_data::{Compose, DataLoader, DataLoaderConfig, Dataset, Normalize, Sample};
use unetr_metrics::{BoundaryIou, MetricSet};
use unetr_model::SegmentationModel;
use unetr_ops::Mode;
use unetr_ops::predicted_classes;
use unetr_train::{DatasetScores, Loss, SumLoss, evaluate, evaluate_images};

const SIZE: u32 = 16;
const SAMPLES: usize = 7;

/// Noise of two classes, of which the photo shows some pixels of later samples wrongly.
struct Noise;

impl Dataset for Noise {
    fn len(&self) -> usize {
        SAMPLES
    }

    fn get(&self, index: usize) -> unetr_data::Result<Sample> {
        let hash = |x: u32, y: u32| (x * 37 + y * 101 + index as u32 * 53) % 71;
        let mask = GrayImage::from_fn(SIZE, SIZE, |x, y| Luma([u8::from(hash(x, y) < 30)]));
        let image = RgbImage::from_fn(SIZE, SIZE, |x, y| {
            let wrong = hash(y, x) < 10 * index as u32;
            Rgb([255 * (mask.get_pixel(x, y).0[0] ^ u8::from(wrong)); 3])
        });
        Ok(Sample::new(self.name(index), image, mask))
    }
}

/// The photo's brightness is the score of class 1.
struct Brightness;

impl SegmentationModel for Brightness {
    fn forward(&self, images: &Tensor, _: Mode) -> candle_core::Result<Tensor> {
        let bright = images.narrow(1, 0, 1)?;
        Tensor::cat(&[bright.neg()?, bright], 1)
    }
}

fn loader() -> DataLoader {
    let config = DataLoaderConfig {
        workers: 1,
        ..DataLoaderConfig::evaluation(3)
    };
    DataLoader::new(Noise, Compose::default().then(Normalize::default()), config).unwrap()
}

fn metrics() -> MetricSet {
    let metrics = MetricSet::new(["background", "noise"]).unwrap();
    metrics
        .with_boundary_iou(BoundaryIou::DILATION_RATIO)
        .unwrap()
}

fn evaluated() -> DatasetScores {
    let mut metrics = metrics();
    let loss = SumLoss::tutorial();
    evaluate_images(
        &Brightness,
        &loss,
        &loader(),
        &mut metrics,
        &Device::Cpu,
        || {},
    )
    .unwrap()
}

#[test]
fn a_pass_equals_its_batches_one_by_one() {
    let mut expected = metrics();
    let mut image_scores = Vec::new();
    for batch in loader().epoch(0) {
        let batch = batch.unwrap();
        let logits = Brightness.forward(&batch.images, Mode::Eval).unwrap();
        expected.update(&logits, &batch.masks).unwrap();
        let value = SumLoss::tutorial().compute(&logits, &batch.masks).unwrap();
        for (name, value) in value
            .parts
            .into_iter()
            .chain([("loss".into(), value.total)])
        {
            let value = value.to_dtype(DType::F64).unwrap().to_scalar().unwrap();
            expected.update_average(&name, value);
        }
        let labels = predicted_classes(&logits).unwrap();
        let scores = expected.image_scores(&labels, &batch.masks).unwrap();
        image_scores.extend(batch.indices.into_iter().zip(scores));
    }
    let mut batches = 0;
    let mut metrics = metrics();
    metrics.update_average("loss", 1e9); // forgotten
    let (loss, loader) = (SumLoss::tutorial(), loader());
    let scores = evaluate(
        &Brightness,
        &loss,
        &loader,
        &mut metrics,
        &Device::Cpu,
        || batches += 1,
    );
    assert_eq!(batches, 3);
    assert_eq!(scores.unwrap(), expected.compute());
    assert_eq!(metrics, expected);

    let evaluation = evaluated();
    assert_eq!(evaluation.scores, expected.compute());
    let images = evaluation.images.iter();
    let images: Vec<_> = images.map(|score| (score.index, score.mean_iou)).collect();
    assert_eq!(images, image_scores);
}

#[test]
fn images_are_scored_by_themselves() {
    let DatasetScores { scores, images, .. } = evaluated();
    let indices: Vec<usize> = images.iter().map(|score| score.index).collect();
    assert_eq!(indices, (0..SAMPLES).collect::<Vec<_>>());
    let images: Vec<f64> = images.iter().map(|score| score.mean_iou.unwrap()).collect();
    assert_eq!(images[0], 1.0);
    assert!(
        images.is_sorted_by(|better, worse| better > worse),
        "{images:?}"
    );
    let mean = images.iter().sum::<f64>() / SAMPLES as f64;
    assert!((scores["mean_iou_imagewise"] - mean).abs() < 1e-12);
}

#[test]
fn threads_change_nothing() {
    let expected = evaluated();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        assert_eq!(
            pool.unwrap().install(evaluated),
            expected,
            "{threads} threads"
        );
    }
}
