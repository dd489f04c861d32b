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
                ignore: Some(255),
                ..CrossEntropyConfig::default()
            },
            CrossEntropyConfig {
                class_weights: Some(&weights),
                smoothing: 0.1,
                ignore: Some(255),
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
                ignore: Some(255),
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
