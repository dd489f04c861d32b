//! Soft Jaccard loss: one minus a differentiable intersection over union.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

pub(crate) use cpu::SoftJaccard;

use crate::cpu::runs_on_cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::labels::check_labels;
use crate::pixel_loss;
use crate::pixels::Pixels;
use crate::precision::widened;

const OP: &str = "soft_jaccard";

/// How the intersections and unions of images and classes become one number each, before they are
/// divided. Mathematically both give the same ratio; they round differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JaccardReduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

/// `1 - intersection / union` of the softmax `p` and the one-hot labels `y`, with
/// `intersection = Σ p·y` and `union = Σ (p + y - p·y + 1e-8)` over pixels, images and classes: one
/// ratio for the whole batch, as in the Flax tutorial. Pixels whose label is `ignore_index` are left out; if
/// that is all of them, the loss is 0.
///
/// Source: <https://flax.readthedocs.io/en/latest/examples/image_segmentation.html>
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes` or `ignore_index`
/// - returns: a scalar, in f32 where the logits have 16 bits
///
/// # Errors
/// When the shapes do not fit, or when a label is no class (found on the CPU; other devices would
/// have to wait for the check, and the loss is NaN on NVIDIA GPUs).
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{JaccardReduction, soft_jaccard};
///
/// // Two pixels of two classes, told with certainty: one rightly, one wrongly.
/// let logits = Tensor::new(&[[[50f32, 50.], [-50., -50.]]], &Device::Cpu)?;
/// let labels = Tensor::new(&[[0u32, 1]], &Device::Cpu)?;
/// let loss = soft_jaccard(&logits, &labels, JaccardReduction::Mean, None)?;
/// assert!((loss.to_scalar::<f32>()? - 2. / 3.).abs() < 1e-5);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn soft_jaccard(
    logits: &Tensor,
    labels: &Tensor,
    reduction: JaccardReduction,
    ignore_index: Option<u32>,
) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    #[cfg(feature = "cuda")]
    if let Some(pixels) = cuda::Pixels::of(logits, labels, ignore_index)? {
        // In double, where the reductions round alike.
        let jaccard = cuda::losses::Losses {
            jaccard: true,
            ..Default::default()
        };
        return cuda::losses::losses(OP, logits, pixels, (), jaccard);
    }
    if runs_on_cpu(logits) {
        let pixels = Pixels::new(OP, logits, labels, ignore_index)?;
        pixel_loss::apply(OP, logits, pixels, (), SoftJaccard { reduction })
    } else {
        composed::soft_jaccard(&widened(logits)?, labels, reduction, ignore_index)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_ignores, assert_same, random, scores_and_labels};

    fn labels() -> Tensor {
        Tensor::from_vec(
            vec![0u8, 1, 2, 2, 1, 0, 0, 0, 1, 2, 0, 1],
            (2, 2, 3),
            &candle_core::Device::Cpu,
        )
        .unwrap()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let logits = (random(1, &[2, 3, 2, 3]) * 3.).unwrap();
        for reduction in [JaccardReduction::Mean, JaccardReduction::Sum] {
            assert_gradients("soft_jaccard", std::slice::from_ref(&logits), |x| {
                soft_jaccard(&x[0], &labels(), reduction, None)
            });
        }
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let logits = (random(1, &[2, 3, 2, 3]) * 3.).unwrap();
        for reduction in [JaccardReduction::Mean, JaccardReduction::Sum] {
            let reference =
                |x: &[Tensor]| composed::soft_jaccard(&x[0], &labels(), reduction, None);
            let f = |x: &[Tensor]| soft_jaccard(&x[0], &labels(), reduction, None);
            assert_same("soft_jaccard", std::slice::from_ref(&logits), f, reference);
        }
    }

    #[test]
    fn images_of_many_pixels() {
        let logits = (random(1, &[3, 5, 19, 21]) * 3.).unwrap();
        let values: Vec<u32> = (0..3 * 19 * 21).map(|i| i * 7 % 5).collect();
        let labels = Tensor::from_vec(values, (3, 19, 21), logits.device()).unwrap();
        let reduction = JaccardReduction::Mean;
        let reference = |x: &[Tensor]| composed::soft_jaccard(&x[0], &labels, reduction, None);
        let f = |x: &[Tensor]| soft_jaccard(&x[0], &labels, reduction, None);
        assert_same("soft_jaccard", &[logits], f, reference);
    }

    #[test]
    fn ignored_pixels_are_not_there() {
        for reduction in [JaccardReduction::Mean, JaccardReduction::Sum] {
            assert_ignores("soft_jaccard", |logits, labels| {
                soft_jaccard(logits, labels, reduction, Some(255))
            });
            let (logits, labels) = scores_and_labels([3, 5, 19, 21]);
            let ignore_index = Some(255);
            let reference =
                |x: &[Tensor]| composed::soft_jaccard(&x[0], &labels, reduction, ignore_index);
            let f = |x: &[Tensor]| soft_jaccard(&x[0], &labels, reduction, ignore_index);
            assert_same("soft_jaccard", &[logits], f, reference);
        }
    }
}
