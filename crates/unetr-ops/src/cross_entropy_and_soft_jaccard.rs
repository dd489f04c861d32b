use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::cross_entropy::{CrossEntropy, CrossEntropyConfig, cross_entropy};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::labels::check_labels;
use crate::pixel_loss;
use crate::pixels::Pixels;
use crate::soft_jaccard::{JaccardReduction, SoftJaccard, soft_jaccard};

const OP: &str = "cross_entropy_and_soft_jaccard";

/// [`cross_entropy`](crate::cross_entropy()) and [`soft_jaccard`](crate::soft_jaccard()) of the same
/// scores, in one pass over them on the CPU and on NVIDIA GPUs: the softmax, most of the work of
/// either, is computed once. Both leave out the pixels that `config` ignores.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes` or ignored
/// - returns: two scalars, in f32 where the logits have 16 bits
///
/// # Errors
/// As of [`cross_entropy`](crate::cross_entropy()).
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{CrossEntropyConfig, JaccardReduction, cross_entropy_and_soft_jaccard};
///
/// let logits = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// let labels = Tensor::zeros((1, 4, 4), DType::U8, &Device::Cpu)?;
/// let config = CrossEntropyConfig::default();
/// let (cross_entropy, jaccard) =
///     cross_entropy_and_soft_jaccard(&logits, &labels, &config, JaccardReduction::Mean)?;
/// let loss = (cross_entropy + (jaccard * 0.5)?)?;
/// assert_eq!(loss.rank(), 0);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy_and_soft_jaccard(
    logits: &Tensor,
    labels: &Tensor,
    config: &CrossEntropyConfig<'_>,
    reduction: JaccardReduction,
) -> Result<(Tensor, Tensor)> {
    check_labels(OP, logits, labels)?;
    config.check(logits.dim(1)?)?;
    #[cfg(feature = "cuda")]
    if let Some(pixels) = cuda::Pixels::of(logits, labels, config.ignore_index)? {
        let both = cuda::losses::Losses {
            jaccard: true,
            ..config.on_cuda()
        };
        let losses = cuda::losses::losses(OP, logits, pixels, 2, both)?;
        return Ok((losses.get(0)?, losses.get(1)?));
    }
    if !runs_on_cpu(logits) {
        let cross_entropy = cross_entropy(logits, labels, config)?;
        let jaccard = soft_jaccard(logits, labels, reduction, config.ignore_index)?;
        return Ok((cross_entropy, jaccard));
    }
    let pixels = Pixels::new(OP, logits, labels, config.ignore_index)?;
    let jaccard = SoftJaccard { reduction };
    let losses = match config.weighted(logits.dim(1)?) {
        Some(weighted) => pixel_loss::apply(OP, logits, pixels, 2, (weighted, jaccard))?,
        None => pixel_loss::apply(OP, logits, pixels, 2, (CrossEntropy, jaccard))?,
    };
    Ok((losses.get(0)?, losses.get(1)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_ignores, assert_same, random, scores_and_labels};

    const PLAIN: CrossEntropyConfig<'_> = CrossEntropyConfig {
        class_weights: None,
        smoothing: 0.,
        ignore_index: None,
    };

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
                weighted(cross_entropy_and_soft_jaccard(
                    &x[0], &labels, &PLAIN, reduction,
                )?)
            });
        }
    }

    #[test]
    fn both_are_what_they_are_alone() {
        let (logits, labels) = batch([3, 5, 19, 21]);
        let reduction = JaccardReduction::Mean;
        let alone: [fn(&Tensor, &Tensor) -> Result<Tensor>; 2] = [
            |logits, labels| cross_entropy(logits, labels, &PLAIN),
            |logits, labels| soft_jaccard(logits, labels, JaccardReduction::Mean, None),
        ];
        let joint =
            |x: &[Tensor]| cross_entropy_and_soft_jaccard(&x[0], &labels, &PLAIN, reduction);
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
        let error = cross_entropy_and_soft_jaccard(&logits, &labels, &PLAIN, JaccardReduction::Sum);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("is out of range for 2 classes"), "{error}");
    }

    #[test]
    fn with_weights_and_pixels_to_ignore_both_are_what_they_are_alone() {
        let (logits, labels) = scores_and_labels([3, 3, 19, 21]);
        let reduction = JaccardReduction::Mean;
        for class_weights in [None, Some(&[0.5f32, 2., 1.25][..])] {
            let config = CrossEntropyConfig {
                class_weights,
                smoothing: 0.,
                ignore_index: Some(255),
            };
            assert_same(
                OP,
                std::slice::from_ref(&logits),
                |x| {
                    weighted(cross_entropy_and_soft_jaccard(
                        &x[0], &labels, &config, reduction,
                    )?)
                },
                |x| {
                    let jaccard = soft_jaccard(&x[0], &labels, reduction, Some(255))?;
                    weighted((cross_entropy(&x[0], &labels, &config)?, jaccard))
                },
            );
            let together = |logits: &Tensor, labels: &Tensor| {
                weighted(cross_entropy_and_soft_jaccard(
                    logits, labels, &config, reduction,
                )?)
            };
            assert_ignores(OP, together);
        }
    }
}
