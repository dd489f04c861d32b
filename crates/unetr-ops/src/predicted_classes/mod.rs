//! The class of highest score.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::{for_real, runs_on_cpu, with_elements};
use crate::error::shape_error;

pub(crate) use cpu::predict;

const OP: &str = "predicted_classes";

/// The class of highest score at every pixel, and of equal scores the lowest class, on every device.
/// `Tensor::argmax` leaves open which of equal scores wins on a GPU.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`, floats
/// - returns: `[batch, ..]`, u32
///
/// # Errors
/// When the logits have fewer than two dimensions, no class or no pixel.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[[0.7f32, 0.1, 0.5], [0.3, 0.9, 0.5]]], &Device::Cpu)?;
/// let classes = unetr_ops::predicted_classes(&logits)?;
/// assert_eq!(classes.to_vec2::<u32>()?, [[0, 1, 0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn predicted_classes(logits: &Tensor) -> Result<Tensor> {
    if logits.rank() < 2 || logits.elem_count() == 0 {
        let expected = "[batch, classes, ..] with at least one pixel and one class";
        return Err(shape_error(OP, "the logits", logits, expected));
    }
    let logits = logits.detach();
    #[cfg(feature = "cuda")]
    if let Some(scores) = crate::cuda::Scores::of(&logits)? {
        let shape = [&logits.dims()[..1], &logits.dims()[2..]].concat();
        return crate::cuda::counts::predicted_classes(&scores, shape);
    }
    if !runs_on_cpu(&logits) {
        return composed::predicted_classes(&logits);
    }
    let logits = logits.contiguous()?;
    let (classes, mut shape) = (logits.dim(1)?, logits.dims().to_vec());
    shape.remove(1);
    let predictions = for_real!(logits, T => with_elements(&logits, |xs: &[T]| {
        cpu::predicted_classes(xs, classes, logits.elem_count() / (classes * shape[0]))
    })?);
    Tensor::from_vec(predictions, shape, logits.device())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// Scores of few distinct values, so that most pixels have ties.
    fn scores(shape: &[usize]) -> Tensor {
        let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 30;
        let count = shape.iter().product();
        let scores: Vec<f32> = (0..count).map(|i| hash(i) as f32).collect();
        Tensor::from_vec(scores, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        for shape in [
            &[2, 5, 50, 50][..],
            &[1, 2, 1],
            &[3, 4],
            &[3, 3, 128, 129],
            &[2, 1, 7, 3],
        ] {
            let logits = scores(shape);
            let expected = composed::predicted_classes(&logits).unwrap();
            for dtype in [DType::F32, DType::F64, DType::F16] {
                let classes = predicted_classes(&logits.to_dtype(dtype).unwrap()).unwrap();
                assert_eq!(classes.dims(), [&shape[..1], &shape[2..]].concat());
                let values = |classes: &Tensor| {
                    let classes = classes.flatten_all().unwrap();
                    classes.to_vec1::<u32>().unwrap()
                };
                assert_eq!(values(&classes), values(&expected), "{shape:?} {dtype:?}");
            }
        }
    }

    #[test]
    fn layouts_that_are_not_contiguous() {
        let logits = scores(&[2, 4, 6, 5]).transpose(2, 3).unwrap();
        let dense = predicted_classes(&logits.contiguous().unwrap()).unwrap();
        let classes = predicted_classes(&logits).unwrap();
        assert_eq!(
            classes.to_vec3::<u32>().unwrap(),
            dense.to_vec3::<u32>().unwrap()
        );
    }

    #[test]
    fn shapes_without_a_pixel_are_refused() {
        for shape in [&[3][..], &[0, 3, 2], &[1, 0, 2]] {
            let logits = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            let error = predicted_classes(&logits).unwrap_err().to_string();
            assert!(
                error.starts_with("predicted_classes: the logits has shape"),
                "{error}"
            );
        }
    }
}
