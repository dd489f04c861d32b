use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::cross_entropy::{self, CrossEntropy};
use crate::labels::check_labels;
use crate::pixel_loss;
use crate::soft_jaccard::{self, JaccardReduction, SoftJaccard};

const OP: &str = "cross_entropy_and_soft_jaccard";

/// [`cross_entropy`](crate::cross_entropy()) and [`soft_jaccard`](crate::soft_jaccard()) of the same
/// scores, in one pass over them on the CPU: the softmax, most of the work of either, is computed once.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes`
/// - returns: two scalars
///
/// # Errors
/// When the shapes do not fit, or when a label is no class (found on the CPU; other devices would
/// have to wait for the check).
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{JaccardReduction, cross_entropy_and_soft_jaccard};
///
/// let logits = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// let labels = Tensor::zeros((1, 4, 4), DType::U8, &Device::Cpu)?;
/// let (cross_entropy, jaccard) =
///     cross_entropy_and_soft_jaccard(&logits, &labels, JaccardReduction::Mean)?;
/// let loss = (cross_entropy + (jaccard * 0.5)?)?;
/// assert_eq!(loss.rank(), 0);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy_and_soft_jaccard(
    logits: &Tensor,
    labels: &Tensor,
    reduction: JaccardReduction,
) -> Result<(Tensor, Tensor)> {
    check_labels(OP, logits, labels)?;
    if !runs_on_cpu(logits) {
        let cross_entropy = cross_entropy::cross_entropy(logits, labels)?;
        let jaccard = soft_jaccard::soft_jaccard(logits, labels, reduction)?;
        return Ok((cross_entropy, jaccard));
    }
    let losses = (CrossEntropy, SoftJaccard { reduction });
    let losses = pixel_loss::apply(OP, logits, labels, 2, losses)?;
    Ok((losses.get(0)?, losses.get(1)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    /// Scores and labels of `classes` classes.
    fn batch(shape: [usize; 4]) -> (Tensor, Tensor) {
        let [b, classes, h, w] = shape;
        let labels: Vec<u32> = (0..b * h * w).map(|i| (i * 7 % classes) as u32).collect();
        let labels = Tensor::from_vec(labels, (b, h, w), &candle_core::Device::Cpu).unwrap();
        ((random(1, &shape) * 3.).unwrap(), labels)
    }

    /// The losses with weights that show which is which.
    fn weighted((cross_entropy, jaccard): (Tensor, Tensor)) -> Result<Tensor> {
        (cross_entropy * 0.7)? + (jaccard * 1.9)?
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (logits, labels) = batch([2, 3, 2, 3]);
        for reduction in [JaccardReduction::Mean, JaccardReduction::Sum] {
            assert_gradients(OP, std::slice::from_ref(&logits), |x| {
                weighted(cross_entropy_and_soft_jaccard(&x[0], &labels, reduction)?)
            });
        }
    }

    #[test]
    fn both_are_what_they_are_alone() {
        let (logits, labels) = batch([3, 5, 19, 21]);
        let reduction = JaccardReduction::Mean;
        let alone: [fn(&Tensor, &Tensor) -> Result<Tensor>; 2] = [
            |logits, labels| cross_entropy::cross_entropy(logits, labels),
            |logits, labels| soft_jaccard::soft_jaccard(logits, labels, JaccardReduction::Mean),
        ];
        let joint = |x: &[Tensor]| cross_entropy_and_soft_jaccard(&x[0], &labels, reduction);
        assert_same(
            OP,
            std::slice::from_ref(&logits),
            |x| weighted(joint(x)?),
            |x| weighted((alone[0](&x[0], &labels)?, alone[1](&x[0], &labels)?)),
        );
        let single = logits.to_dtype(candle_core::DType::F32).unwrap();
        let (first, second) = joint(std::slice::from_ref(&single)).unwrap();
        for (found, alone) in [first, second].iter().zip(alone) {
            let alone = alone(&single, &labels).unwrap();
            assert_eq!(
                found.to_scalar::<f32>().unwrap(),
                alone.to_scalar::<f32>().unwrap()
            );
        }
    }

    #[test]
    fn a_label_out_of_range_is_an_error() {
        let (_, labels) = batch([1, 3, 2, 2]);
        let logits = random(1, &[1, 2, 2, 2]);
        let error = cross_entropy_and_soft_jaccard(&logits, &labels, JaccardReduction::Sum);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("is out of range for 2 classes"), "{error}");
    }
}
