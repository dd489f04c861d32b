//! Confusion matrix of pixel-wise class scores.

mod composed;
mod cpu;

use candle_core::{DType, Result, Tensor};

use crate::cpu::{for_real, runs_on_cpu, with_elements};
use crate::labels::check_labels;

const OP: &str = "confusion_counts";

/// How often each class was taken for each other one: `counts[label · classes + prediction]`, where
/// the prediction is the class of highest score and of equal ones the lowest class. Pixels whose label
/// is `ignore` are left out, whatever it is.
///
/// The counts are on the host; other devices send predicted classes and labels there.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes` or `ignore`
/// - returns: `classes · classes` numbers, a row for each label
///
/// # Errors
/// When the shapes do not fit, or when a label is no class.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
///
/// // Two pixels of class 1; class 0 has the higher score at the first of them.
/// let logits = Tensor::new(&[[[0.7f32, 0.1], [0.3, 0.9]]], &Device::Cpu)?;
/// let labels = Tensor::new(&[[1u8, 1]], &Device::Cpu)?;
/// assert_eq!(unetr_ops::confusion_counts(&logits, &labels, None)?, [0, 0, 1, 1]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn confusion_counts(logits: &Tensor, labels: &Tensor, ignore: Option<u32>) -> Result<Vec<u64>> {
    check_labels(OP, logits, labels)?;
    if !runs_on_cpu(logits) {
        return composed::confusion_counts(logits, labels, ignore);
    }
    let (logits, labels) = (logits.detach().contiguous()?, labels.contiguous()?);
    let counter = cpu::Counter {
        pixels: labels.elem_count() / labels.dim(0)?,
        classes: logits.dim(1)?,
        ignore: ignore.map(i64::from),
    };
    for_real!(logits, T => with_elements(&logits, |logits: &[T]| match labels.dtype() {
        DType::U8 => with_elements(&labels, |labels: &[u8]| counter.count(logits, labels)),
        DType::U32 => with_elements(&labels, |labels: &[u32]| counter.count(logits, labels)),
        _ => with_elements(&labels, |labels: &[i64]| counter.count(logits, labels)),
    })??)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Scores of few distinct values, so that most pixels have ties, and labels with 255 among them.
    fn batch(shape: [usize; 4]) -> (Tensor, Tensor) {
        let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 24;
        let [b, classes, h, w] = shape;
        let logits: Vec<f32> = (0..b * classes * h * w)
            .map(|i| (hash(i) >> 6) as f32)
            .collect();
        let labels = (0..b * h * w).map(|i| match hash(i + 7) as usize % (classes + 1) {
            label if label < classes => label as u8,
            _ => 255,
        });
        let labels = Tensor::from_vec(labels.collect::<Vec<u8>>(), (b, h, w), &Device::Cpu);
        let logits = Tensor::from_vec(logits, &shape, &Device::Cpu);
        (logits.unwrap(), labels.unwrap())
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        // Blocks and stretches with and without a tail.
        for shape in [
            [2, 5, 50, 50],
            [1, 2, 1, 1],
            [3, 3, 128, 129],
            [1, 3, 200, 164],
        ] {
            let (logits, labels) = batch(shape);
            let expected = composed::confusion_counts(&logits, &labels, Some(255)).unwrap();
            for dtype in [DType::F32, DType::F64, DType::F16] {
                let logits = logits.to_dtype(dtype).unwrap();
                for label_type in [DType::U8, DType::U32, DType::I64] {
                    let labels = labels.to_dtype(label_type).unwrap();
                    let counts = confusion_counts(&logits, &labels, Some(255)).unwrap();
                    assert_eq!(counts, expected, "{shape:?} {dtype:?} {label_type:?}");
                }
            }
        }
    }

    #[test]
    fn counts_do_not_depend_on_threads_or_instruction_set() {
        let (logits, labels) = batch([2, 5, 150, 130]);
        let counts = || confusion_counts(&logits, &labels, Some(255)).unwrap();
        let expected = counts();
        assert!(expected.iter().filter(|&&count| count > 0).count() > 10);
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            assert_eq!(pool.unwrap().install(counts), expected, "{threads} threads");
        }
        crate::cpu::at_each_level(|level| assert_eq!(counts(), expected, "{level:?}"));
    }

    #[test]
    fn of_equal_scores_the_first_wins() {
        let logits = Tensor::new(
            &[[[1f32, 0., f32::NAN], [1., 2., 5.], [1., 2., 7.]]],
            &Device::Cpu,
        );
        let labels = Tensor::new(&[[2u8, 2, 2]], &Device::Cpu).unwrap();
        let counts = confusion_counts(&logits.unwrap(), &labels, None).unwrap();
        assert_eq!(counts, [0, 0, 0, 0, 0, 0, 2, 1, 0]);
    }

    #[test]
    fn layouts_that_are_not_contiguous() {
        let (logits, labels) = batch([2, 4, 6, 5]);
        let (logits, labels) = (
            logits.transpose(2, 3).unwrap(),
            labels.transpose(1, 2).unwrap(),
        );
        let (dense, dense_labels) = (logits.contiguous().unwrap(), labels.contiguous().unwrap());
        assert_eq!(
            confusion_counts(&logits, &labels, Some(255)).unwrap(),
            confusion_counts(&dense, &dense_labels, Some(255)).unwrap()
        );
    }

    #[test]
    fn a_label_out_of_range_is_an_error() {
        let (logits, labels) = batch([2, 3, 9, 9]);
        for counts in [confusion_counts, composed::confusion_counts] {
            let error = counts(&logits, &labels, None).unwrap_err().to_string();
            assert!(
                error.contains("label 255 is out of range for 3 classes"),
                "{error}"
            );
        }
        let error = confusion_counts(&logits, &labels.narrow(0, 0, 1).unwrap(), None);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("the labels has shape [1, 9, 9]")
        );
    }
}
