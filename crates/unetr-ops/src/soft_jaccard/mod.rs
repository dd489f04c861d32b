//! Soft Jaccard loss: one minus a differentiable intersection over union.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

pub(crate) use cpu::SoftJaccard;

use crate::cpu::runs_on_cpu;
use crate::labels::check_labels;
use crate::pixel_loss;

const OP: &str = "soft_jaccard";

/// How the intersections and unions of images and classes become one number each, before they are
/// divided. Mathematically both give the same ratio; they round differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JaccardReduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

/// `1 - intersection / union` of the softmax `p` and the one-hot labels `y`, with
/// `intersection = Σ p·y` and `union = Σ (p + y - p·y + 1e-8)` over pixels, images and classes: one
/// ratio for the whole batch, as in the Flax tutorial.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes`
/// - returns: a scalar
///
/// # Errors
/// When the shapes do not fit, or when a label is no class (found on the CPU; other devices would
/// have to wait for the check).
pub fn soft_jaccard(
    logits: &Tensor,
    labels: &Tensor,
    reduction: JaccardReduction,
) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    if runs_on_cpu(logits) {
        pixel_loss::apply(OP, logits, labels, (), SoftJaccard { reduction })
    } else {
        composed::soft_jaccard(logits, labels, reduction)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

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
                soft_jaccard(&x[0], &labels(), reduction)
            });
        }
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let logits = (random(1, &[2, 3, 2, 3]) * 3.).unwrap();
        for reduction in [JaccardReduction::Mean, JaccardReduction::Sum] {
            let reference = |x: &[Tensor]| composed::soft_jaccard(&x[0], &labels(), reduction);
            let f = |x: &[Tensor]| soft_jaccard(&x[0], &labels(), reduction);
            assert_same("soft_jaccard", std::slice::from_ref(&logits), f, reference);
        }
    }
    #[test]
    fn images_of_many_pixels() {
        let logits = (random(1, &[3, 5, 19, 21]) * 3.).unwrap();
        let values: Vec<u32> = (0..3 * 19 * 21).map(|i| i * 7 % 5).collect();
        let labels = Tensor::from_vec(values, (3, 19, 21), logits.device()).unwrap();
        let reduction = JaccardReduction::Mean;
        let reference = |x: &[Tensor]| composed::soft_jaccard(&x[0], &labels, reduction);
        let f = |x: &[Tensor]| soft_jaccard(&x[0], &labels, reduction);
        assert_same("soft_jaccard", &[logits], f, reference);
    }
}
