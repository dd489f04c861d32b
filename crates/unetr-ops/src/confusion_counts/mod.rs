//! Confusion matrix of pixel-wise class scores.

mod composed;
mod cpu;

use candle_core::{DType, Result, Tensor};

use crate::OpError;
use crate::cpu::{for_real, runs_on_cpu, with_elements};
use crate::labels::check_labels;

const OP: &str = "confusion_counts";

/// How often each class was taken for each other one: `counts[label · classes + prediction]`, where
/// the prediction is the class of highest score and of equal ones the lowest class. Pixels whose label
/// is `ignore_index` are left out, whatever it is.
///
/// The counts are on the host, where other devices send them;
/// [`image_confusion_counts`] leaves them on the device.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes` or `ignore_index`
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
pub fn confusion_counts(
    logits: &Tensor,
    labels: &Tensor,
    ignore_index: Option<u32>,
) -> Result<Vec<u64>> {
    let counts = image_confusion_counts(logits, labels, ignore_index)?;
    // host sync: reads a matrix of every image
    let images: Vec<Vec<u32>> = counts.to_vec2()?;
    let classes = logits.dim(1)?;
    let mut total = vec![0; classes * classes];
    for image in images {
        if image[total.len()] > 0 {
            return Err(stray_label(labels, classes, ignore_index)?.into());
        }
        for (total, count) in total.iter_mut().zip(image) {
            *total += u64::from(count);
        }
    }
    Ok(total)
}

/// The [`confusion_counts`] of each image of a batch, on the device of the logits: nothing waits for it
/// until they are read.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64
/// - returns: `[batch, classes · classes + 1]`, u32: the matrix of each image, a row for each label, and
///   last how many of its pixels have a label that is neither a class nor `ignore_index`
///
/// # Errors
/// When the shapes do not fit. Labels that are no class are an error at once on the CPU only; the last
/// number tells of them elsewhere.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::image_confusion_counts;
///
/// // Two images of two pixels; the first class has the higher logit everywhere.
/// let logits = Tensor::new(&[[[1f32, 1.], [0., 0.]], [[1., 1.], [0., 0.]]], &Device::Cpu)?;
/// let labels = Tensor::new(&[[0u32, 1], [1, 255]], &Device::Cpu)?;
/// let counts = image_confusion_counts(&logits, &labels, Some(255))?;
/// assert_eq!(counts.to_vec2::<u32>()?, [[1, 0, 1, 0, 0], [0, 0, 1, 0, 0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn image_confusion_counts(
    logits: &Tensor,
    labels: &Tensor,
    ignore_index: Option<u32>,
) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    #[cfg(feature = "cuda")]
    if let Some(scores) = crate::cuda::Scores::of(logits)? {
        let labels = crate::cuda::Labels::of(labels, logits, ignore_index)?;
        if let Some(counts) = crate::cuda::counts::image_confusion_counts(&scores, &labels)? {
            return Ok(counts);
        }
    }
    if !runs_on_cpu(logits) {
        return composed::image_confusion_counts(logits, labels, ignore_index);
    }
    let (logits, labels) = (logits.detach().contiguous()?, labels.contiguous()?);
    let (batch, classes) = (labels.dim(0)?, logits.dim(1)?);
    let counter = cpu::Counter {
        pixels: labels.elem_count() / batch,
        classes,
        ignore_index: ignore_index.map(i64::from),
    };
    let counts = for_real!(logits, T => with_elements(&logits, |logits: &[T]| match labels.dtype() {
        DType::U8 => with_elements(&labels, |labels: &[u8]| counter.count(logits, labels)),
        DType::U32 => with_elements(&labels, |labels: &[u32]| counter.count(logits, labels)),
        _ => with_elements(&labels, |labels: &[i64]| counter.count(logits, labels)),
    })??)?;
    let matrices = Tensor::from_vec(counts, (batch, classes * classes), logits.device())?;
    // The kernel refuses strays.
    matrices.pad_with_zeros(1, 0, 1)
}

/// The error that names a label that is neither a class nor ignored.
fn stray_label(labels: &Tensor, classes: usize, ignore_index: Option<u32>) -> Result<OpError> {
    let labels: Vec<i64> = labels.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
    let valid = |label: &i64| {
        (0..classes as i64).contains(label) || Some(*label) == ignore_index.map(i64::from)
    };
    let stray = labels.into_iter().find(|label| !valid(label));
    let label = stray.unwrap_or_default();
    let op = OP;
    Ok(OpError::Label { op, label, classes })
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

    /// As other devices compute it.
    fn by_composition(
        logits: &Tensor,
        labels: &Tensor,
        ignore_index: Option<u32>,
    ) -> Result<Vec<u64>> {
        confusion_counts(&logits.to_dtype(DType::F16)?, labels, ignore_index)
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
            let counts = |counts: Result<Tensor>| counts.unwrap().to_vec2::<u32>().unwrap();
            let composed = composed::image_confusion_counts(&logits, &labels, Some(255));
            let expected = counts(composed);
            for dtype in [DType::F32, DType::F64, DType::F16] {
                let logits = logits.to_dtype(dtype).unwrap();
                for label_type in [DType::U8, DType::U32, DType::I64] {
                    let labels = labels.to_dtype(label_type).unwrap();
                    let counts = counts(image_confusion_counts(&logits, &labels, Some(255)));
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
        for counts in [confusion_counts, by_composition] {
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

    #[test]
    fn each_image_has_its_own_counts() {
        let (logits, labels) = batch([3, 4, 150, 130]);
        let images = image_confusion_counts(&logits, &labels, Some(255)).unwrap();
        let images = images.to_vec2::<u32>().unwrap();
        let mut total = vec![0; 16];
        for (n, image) in images.iter().enumerate() {
            let (logits, labels) = (logits.narrow(0, n, 1), labels.narrow(0, n, 1));
            let alone = confusion_counts(&logits.unwrap(), &labels.unwrap(), Some(255)).unwrap();
            assert_eq!(image.len(), 17);
            for (cell, &count) in alone.iter().enumerate() {
                assert_eq!(u64::from(image[cell]), count, "image {n}, cell {cell}");
                total[cell] += count;
            }
        }
        assert_eq!(
            confusion_counts(&logits, &labels, Some(255)).unwrap(),
            total
        );
    }

    #[test]
    fn an_ignored_class_is_left_out() {
        let (logits, labels) = batch([2, 3, 20, 20]);
        let labels = labels.clamp(0u8, 2u8).unwrap();
        for counts in [confusion_counts, by_composition] {
            let all = counts(&logits, &labels, None).unwrap();
            let kept = counts(&logits, &labels, Some(1)).unwrap();
            assert!(all[3..6].iter().all(|&count| count > 0));
            assert_eq!(kept, [&all[..3], &[0; 3], &all[6..]].concat());
        }
    }

    #[test]
    fn the_composition_counts_stray_labels_of_each_image() {
        let logits = Tensor::zeros((2, 2, 4), DType::F32, &Device::Cpu).unwrap();
        let labels = Tensor::new(&[[0i64, 1, 7, 1], [-1, 1 << 32, 9, 9]], &Device::Cpu).unwrap();
        let counts = composed::image_confusion_counts(&logits, &labels, Some(9)).unwrap();
        let counts = counts.to_vec2::<u32>().unwrap();
        assert_eq!(counts, [[1, 0, 2, 0, 1], [0, 0, 0, 0, 2]]);
    }
}
