use candle_core::{Device, Tensor};
use image::{GrayImage, ImageBuffer, Luma};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::config::Probabilities;
use crate::scores::ScoreRows;

/// A probability for every pixel.
pub type ConfidenceMap = ImageBuffer<Luma<f32>, Vec<f32>>;

/// What a network sees in a photo, at the photo's size.
#[derive(Debug, Clone)]
pub struct Segmentation {
    /// The most probable class of every pixel; of equally probable ones the lowest.
    pub labels: GrayImage,
    /// Its probability, 0 to 1.
    pub confidence: ConfidenceMap,
    /// `[classes, height, width]`, with [`Probabilities::All`].
    pub probabilities: Option<Tensor>,
}

/// How much of a photo a class covers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassArea {
    /// Pixels of the class.
    pub pixels: u64,
    /// Their part of the photo, 0 to 1.
    pub fraction: f64,
    /// The mean of their probabilities; 0 where there are none.
    pub confidence: f64,
}

impl Segmentation {
    /// The area of each of so many classes.
    pub fn areas(&self, classes: usize) -> Vec<ClassArea> {
        let mut sums = vec![(0_u64, 0.); classes];
        for (label, &confidence) in self.labels.iter().zip(self.confidence.iter()) {
            if let Some((pixels, sum)) = sums.get_mut(usize::from(*label)) {
                *pixels += 1;
                *sum += f64::from(confidence);
            }
        }
        let all = self.labels.len().max(1) as f64;
        let area = |(pixels, sum): (u64, f64)| ClassArea {
            pixels,
            fraction: pixels as f64 / all,
            confidence: sum / pixels.max(1) as f64,
        };
        sums.into_iter().map(area).collect()
    }

    /// From the scores of all rows.
    pub(crate) fn of(rows: &mut dyn ScoreRows, probabilities: Probabilities) -> Result<Self> {
        let [height, width] = rows.size();
        let mut labels = GrayImage::new(width as u32, height as u32);
        let mut confidence = ConfidenceMap::new(width as u32, height as u32);
        let mut planes = Vec::new();
        for y in 0..height {
            let mut scores = rows.next_row()?;
            let row = y * width..(y + 1) * width;
            predict(
                &scores,
                &mut (*labels)[row.clone()],
                &mut (*confidence)[row],
            );
            if probabilities == Probabilities::All {
                softmax(&mut scores, width);
                let classes = scores.len() / width;
                planes.push(Tensor::from_vec(scores, (classes, 1, width), &Device::Cpu)?);
            }
        }
        Ok(Self {
            labels,
            confidence,
            probabilities: match probabilities {
                Probabilities::Predicted => None,
                Probabilities::All => Some(Tensor::cat(&planes, 1)?),
            },
        })
    }
}

/// The greatest of scores `[classes, width]` at each pixel and its probability.
pub(crate) fn predict(scores: &[f32], labels: &mut [u8], confidence: &mut [f32]) {
    let width = labels.len();
    let mut greatest = scores[..width].to_vec();
    labels.fill(0);
    for (class, scores) in (1..=u8::MAX).zip(scores.chunks_exact(width).skip(1)) {
        for ((greatest, label), &score) in greatest.iter_mut().zip(&mut *labels).zip(scores) {
            if score > *greatest {
                (*greatest, *label) = (score, class);
            }
        }
    }
    confidence.fill(0.);
    for scores in scores.chunks_exact(width) {
        for ((sum, greatest), score) in confidence.iter_mut().zip(&greatest).zip(scores) {
            *sum += (score - greatest).exp();
        }
    }
    confidence.iter_mut().for_each(|sum| *sum = 1. / *sum);
}

/// Makes scores `[classes, width]` probabilities.
fn softmax(scores: &mut [f32], width: usize) {
    let mut greatest = vec![f32::NEG_INFINITY; width];
    for scores in scores.chunks_exact(width) {
        greatest
            .iter_mut()
            .zip(scores)
            .for_each(|(greatest, score)| *greatest = greatest.max(*score));
    }
    let mut sums = vec![0.; width];
    for scores in scores.chunks_exact_mut(width) {
        for ((score, greatest), sum) in scores.iter_mut().zip(&greatest).zip(&mut sums) {
            *score = (*score - greatest).exp();
            *sum += *score;
        }
    }
    for scores in scores.chunks_exact_mut(width) {
        scores
            .iter_mut()
            .zip(&sums)
            .for_each(|(score, sum)| *score /= sum);
    }
}
