//! What a softmax and labels have in common, class by class.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::labels::check_labels;
use crate::many;
use crate::pixels::Pixels;
use crate::precision::widened;

const OP: &str = "soft_counts";

/// Sums over the pixels of each image, class by class, from which Dice, Tversky and other overlaps are
/// made: with `p` the softmax of the scores and `y` the one-hot labels, the hits `Σ p·y`, the
/// predicted pixels `Σ p` and the labelled pixels `Σ y`, in this order. Pixels whose label is `ignore_index`
/// are left out.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes` or `ignore_index`
/// - returns: `[3, batch, classes]`; f32 for scores in half precision
///
/// # Errors
/// When the shapes do not fit, or when a label is no class (found on the CPU; other devices would
/// have to wait for the check, and the sums of its image are NaN on NVIDIA GPUs).
///
/// # Examples
/// The Dice loss of a batch:
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::soft_counts;
///
/// let logits = Tensor::zeros((2, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// let labels = Tensor::zeros((2, 4, 4), DType::U8, &Device::Cpu)?;
/// let counts = soft_counts(&logits, &labels, None)?.sum(1)?;
/// let (hits, predicted, labelled) = (counts.get(0)?, counts.get(1)?, counts.get(2)?);
/// let dice = ((hits * 2.)? / (predicted + labelled)?)?;
/// let loss = (1. - dice.mean_all()?)?;
/// assert_eq!(loss.rank(), 0);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn soft_counts(logits: &Tensor, labels: &Tensor, ignore_index: Option<u32>) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    #[cfg(feature = "cuda")]
    if let Some(pixels) = crate::cuda::Pixels::of(logits, labels, ignore_index)? {
        return crate::cuda::losses::soft_counts(OP, logits, pixels);
    }
    if !runs_on_cpu(logits) {
        return composed::soft_counts(&widened(logits)?, labels, ignore_index);
    }
    let pixels = Pixels::new(OP, logits, labels, ignore_index)?;
    let shape = (3, pixels.sizes.batch, pixels.sizes.classes);
    many::apply(OP, &[logits], shape, cpu::SoftCounts { pixels })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_ignores, assert_same, scores_and_labels};
    use crate::cpu::at_each_level;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (logits, labels) = scores_and_labels([2, 3, 2, 7]);
        assert_gradients(OP, &[logits], |x| soft_counts(&x[0], &labels, Some(255)));
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let (logits, labels) = scores_and_labels([3, 5, 19, 21]);
        let reference = |x: &[Tensor]| composed::soft_counts(&x[0], &labels, Some(255));
        let f = |x: &[Tensor]| soft_counts(&x[0], &labels, Some(255));
        at_each_level(|_| assert_same(OP, std::slice::from_ref(&logits), f, reference));
    }

    #[test]
    fn ignored_pixels_are_not_there() {
        assert_ignores(OP, |logits, labels| {
            let counts = soft_counts(logits, labels, Some(255))?;
            counts.get(0)? + (counts.get(1)? * 0.7)?
        });
    }

    #[test]
    fn labels_are_counted() {
        let (logits, labels) = scores_and_labels([2, 3, 5, 9]);
        let counts = soft_counts(&logits, &labels, Some(255)).unwrap();
        let labelled = counts.get(2).unwrap().to_vec2::<f64>().unwrap();
        let labels = labels.flatten(1, 2).unwrap().to_vec2::<u8>().unwrap();
        for (counts, labels) in labelled.iter().zip(&labels) {
            for (class, &count) in counts.iter().enumerate() {
                let expected = labels.iter().filter(|&&label| usize::from(label) == class);
                assert_eq!(count, expected.count() as f64);
            }
        }
    }
}
