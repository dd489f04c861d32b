use crate::cpu::{Real, vectorised};
use crate::pixel_loss::{PixelLoss, Pixels};

pub(super) struct CrossEntropy;

impl PixelLoss for CrossEntropy {
    /// The sum of the losses.
    type Sums = f64;

    fn sums<T: Real>(&self, pixels: &Pixels<'_, T>) -> f64 {
        let [sum] = pixels.sum(|block, logits, labels| {
            let plane = logits.len() / pixels.classes;
            let losses = labels.iter().enumerate().map(|(i, label)| {
                (block.log_sum(i) - logits[label * plane + block.start + i]).f64()
            });
            [losses.sum()]
        });
        sum
    }

    fn loss<T: Real>(&self, sum: f64, pixels: &Pixels<'_, T>) -> f64 {
        sum / pixels.count() as f64
    }

    /// `∂loss/∂logit = (p - y) / pixels`
    fn gradient<T: Real>(&self, _: f64, pixels: &Pixels<'_, T>, scale: f64) -> Vec<T> {
        let scale = T::of(scale / pixels.count() as f64);
        pixels.gradient(|block, labels, class, result| {
            let probabilities = block.class(class);
            vectorised!({
                for ((result, &p), &label) in result.iter_mut().zip(probabilities).zip(labels) {
                    let y = if label == class { T::one() } else { T::zero() };
                    *result = (p - y) * scale;
                }
            });
        })
    }
}
