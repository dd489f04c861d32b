//! Cross entropy of pixel-wise class scores.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

pub(crate) use cpu::CrossEntropy;

use crate::cpu::runs_on_cpu;
use crate::labels::check_labels;
use crate::pixel_loss;

const OP: &str = "cross_entropy";

/// Mean over all pixels of `-log softmax(logits)[label]`.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes`
/// - returns: a scalar
///
/// # Errors
/// When the shapes do not fit, or when a label is no class (found on the CPU; other devices would
/// have to wait for the check).
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    if runs_on_cpu(logits) {
        pixel_loss::apply(OP, logits, labels, (), CrossEntropy)
    } else {
        composed::cross_entropy(logits, labels)
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
        assert_gradients("cross_entropy", &[logits], |x| {
            cross_entropy(&x[0], &labels())
        });
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let logits = (random(1, &[2, 3, 2, 3]) * 3.).unwrap();
        let reference = |x: &[Tensor]| composed::cross_entropy(&x[0], &labels());
        let f = |x: &[Tensor]| cross_entropy(&x[0], &labels());
        assert_same("cross_entropy", &[logits], f, reference);
    }

    #[test]
    fn images_of_many_pixels() {
        let logits = (random(1, &[3, 5, 19, 21]) * 3.).unwrap();
        let values: Vec<u32> = (0..3 * 19 * 21).map(|i| i * 7 % 5).collect();
        let labels = Tensor::from_vec(values, (3, 19, 21), logits.device()).unwrap();
        let reference = |x: &[Tensor]| composed::cross_entropy(&x[0], &labels);
        let f = |x: &[Tensor]| cross_entropy(&x[0], &labels);
        assert_same("cross_entropy", &[logits], f, reference);
    }

    #[test]
    fn every_integer_type_of_labels() {
        let logits = random(1, &[2, 3, 2, 3]);
        let loss = |dtype| {
            let labels = labels().to_dtype(dtype).unwrap();
            cross_entropy(&logits, &labels)
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
        };
        use candle_core::DType;
        assert_eq!(loss(DType::U8), loss(DType::U32));
        assert_eq!(loss(DType::U8), loss(DType::I64));
        let error = cross_entropy(&logits, &labels().to_dtype(DType::F32).unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("expected u8, u32 or i64"),
            "{error}"
        );
    }

    #[test]
    fn a_label_out_of_range_is_an_error() {
        let logits = random(1, &[2, 2, 2, 3]);
        let error = cross_entropy(&logits, &labels()).unwrap_err().to_string();
        assert!(
            error.contains("label 2 is out of range for 2 classes"),
            "{error}"
        );
        let error = cross_entropy(&random(1, &[2, 3, 3, 3]), &labels())
            .unwrap_err()
            .to_string();
        assert!(error.contains("the labels has shape [2, 2, 3]"), "{error}");
    }
}
