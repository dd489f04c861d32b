//! Losses and counts of class scores.

use candle_core::{DType, Device, Tensor};
use unetr::ops::*;

use super::gpu;
use super::operations::{agrees, difference, random, values};

/// Labels of which every eleventh is 255.
fn labels([batch, classes, height, width]: [usize; 4], device: &Device) -> Tensor {
    let label = |i: usize| match i % 11 {
        5 => 255,
        _ => (i * 7 % classes) as u8,
    };
    let labels: Vec<u8> = (0..batch * height * width).map(label).collect();
    Tensor::from_vec(labels, (batch, height, width), device).unwrap()
}

#[test]
fn losses() {
    for shape in [[2, 3, 13, 29], [1, 21, 40, 50], [3, 2, 64, 64]] {
        let logits = [(random(1, &shape) * 3.).unwrap()];
        let weights: Vec<f32> = (0..shape[1]).map(|class| 0.5 + class as f32).collect();
        let (plain, weighted) = (
            CrossEntropyConfig {
                ignore_index: Some(255),
                ..CrossEntropyConfig::default()
            },
            CrossEntropyConfig {
                class_weights: Some(&weights),
                smoothing: 0.1,
                ignore_index: Some(255),
            },
        );
        for config in [&plain, &weighted] {
            agrees(
                &format!("cross_entropy {shape:?} {config:?}"),
                &logits,
                |x| cross_entropy(&x[0], &labels(shape, x[0].device()), config),
            );
            agrees(
                &format!("cross_entropy_and_soft_jaccard {shape:?} {config:?}"),
                &logits,
                |x| {
                    let labels = labels(shape, x[0].device());
                    let reduction = JaccardReduction::Mean;
                    let (first, second) =
                        cross_entropy_and_soft_jaccard(&x[0], &labels, config, reduction)?;
                    first + (second * 3.)?
                },
            );
        }
        agrees(&format!("focal {shape:?}"), &logits, |x| {
            let config = FocalConfig {
                class_weights: Some(&weights),
                ignore_index: Some(255),
                ..FocalConfig::default()
            };
            focal(&x[0], &labels(shape, x[0].device()), &config)
        });
        agrees(&format!("soft_counts {shape:?}"), &logits, |x| {
            soft_counts(&x[0], &labels(shape, x[0].device()), Some(255))
        });
    }
}

#[test]
fn a_wrong_label_gives_no_number() {
    let Some(device) = gpu() else { return };
    let logits = Tensor::zeros((1, 3, 4, 4), DType::F32, &device).unwrap();
    let labels = Tensor::full(7u8, (1, 4, 4), &device).unwrap();
    let loss = cross_entropy(&logits, &labels, &CrossEntropyConfig::default()).unwrap();
    assert!(loss.to_scalar::<f32>().unwrap().is_nan());
}

#[test]
fn counts() {
    let Some(device) = gpu() else { return };
    for shape in [[2, 3, 13, 29], [1, 21, 40, 50], [4, 3, 128, 128]] {
        let logits = random(1, &shape).to_dtype(DType::F32).unwrap();
        let on_gpu = logits.to_device(&device).unwrap();
        let (ours, expected) = (labels(shape, &device), labels(shape, &Device::Cpu));
        assert_eq!(
            confusion_counts(&on_gpu, &ours, Some(255)).unwrap(),
            confusion_counts(&logits, &expected, Some(255)).unwrap()
        );
        let classes = predicted_classes(&on_gpu).unwrap();
        assert_eq!(
            values(&classes),
            values(&predicted_classes(&logits).unwrap())
        );
    }
}

#[test]
fn norms() {
    let Some(device) = gpu() else { return };
    let tensors: Vec<Tensor> = [[3, 5].as_slice(), &[70, 1000], &[1]]
        .iter()
        .zip(1..)
        .map(|(shape, seed)| random(seed, shape).to_dtype(DType::F32).unwrap())
        .collect();
    let on_gpu: Vec<Tensor> = tensors
        .iter()
        .map(|x| x.to_device(&device).unwrap())
        .collect();
    let norm = |tensors: &[Tensor]| global_norm(&tensors.iter().collect::<Vec<_>>()).unwrap();
    assert!(difference(&[norm(&on_gpu)], &[norm(&tensors)]) < 1e-6);
}

/// Bytes that tell the place and the turn.
fn bytes(turn: usize, shape: &[usize]) -> Tensor {
    let hash = |i: usize| ((i + 7919 * turn) as u32).wrapping_mul(2_654_435_761) >> 24;
    let bytes: Vec<u8> = (0..shape.iter().product()).map(|i| hash(i) as u8).collect();
    Tensor::from_vec(bytes, shape, &Device::Cpu).unwrap()
}

#[test]
fn images_and_masks_that_are_uploaded() {
    let Some(device) = gpu() else { return };
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let floats = |images: &Tensor, device: &Device| {
        let floats = normalize_images(images, mean, std, device).unwrap();
        assert!(floats.device().same_device(device));
        floats
    };
    let bits = |floats: &Tensor| -> Vec<u32> {
        let floats: Vec<f32> = floats.flatten_all().unwrap().to_vec1().unwrap();
        floats.into_iter().map(f32::to_bits).collect()
    };
    // More than there are buffers, of sizes up and down, and all of them before the host waits for one.
    let sizes = [[8, 64], [13, 29], [256, 256], [1, 1], [64, 64], [31, 5]];
    let turns: Vec<_> = (0..4 * sizes.len())
        .map(|turn| {
            let [height, width] = sizes[turn % sizes.len()];
            let images = bytes(turn, &[1 + turn % 3, 3, height, width]);
            let masks = bytes(turn, &[1 + turn % 3, height, width]);
            let uploaded = upload(&masks, &device).unwrap();
            (floats(&images, &device), uploaded, images, masks)
        })
        .collect();
    for (turn, (normalized, uploaded, images, masks)) in turns.iter().enumerate() {
        let expected = floats(images, &Device::Cpu);
        assert_eq!(bits(normalized), bits(&expected), "images of turn {turn}");
        assert_eq!(values(uploaded), values(masks), "masks of turn {turn}");
        let there = floats(&images.to_device(&device).unwrap(), &device);
        assert_eq!(bits(&there), bits(&expected), "on the device, turn {turn}");
        let back = floats(&images.to_device(&device).unwrap(), &Device::Cpu);
        assert_eq!(bits(&back), bits(&expected), "from the device, turn {turn}");
    }
}
