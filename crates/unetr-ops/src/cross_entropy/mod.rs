//! Cross entropy of pixel-wise class scores.

mod composed;
mod cpu;
mod weighted;

use candle_core::{Result, Tensor};

pub(crate) use cpu::CrossEntropy;
pub(crate) use weighted::WeightedCrossEntropy;

use crate::class_weights::{check_class_weights, weights_by_label};
use crate::cpu::runs_on_cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::error::value_error;
use crate::labels::check_labels;
use crate::pixel_loss;
use crate::pixels::Pixels;
use crate::precision::widened;

const OP: &str = "cross_entropy";

/// What [`cross_entropy`] weighs, smooths and ignores; nothing by default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CrossEntropyConfig<'a> {
    /// The weight of every class, at least 0; all are 1 by default.
    pub class_weights: Option<&'a [f32]>,
    /// How much of a label is spread evenly over all classes, from 0 to 1; 0 by default (Szegedy et
    /// al. 2016, section 7, <https://arxiv.org/abs/1512.00567>).
    pub smoothing: f64,
    /// Pixels with this label are left out, whether it is a class or not.
    pub ignore_index: Option<u32>,
}

/// Mean over all pixels of `-log softmax(logits)[label]`.
///
/// With weights, smoothing or a label to ignore it is `torch.nn.CrossEntropyLoss`: of `p` the softmax
/// and `w` the weights, `Σ ((1 - smoothing)·w[label]·-log p[label] + smoothing/classes·Σ w[c]·-log p[c])
/// / Σ w[label]` over the pixels that are not ignored. Without any such pixel it is 0, where PyTorch's
/// is NaN.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes` or ignored
/// - returns: a scalar, in f32 where the logits have 16 bits
///
/// # Errors
/// When the shapes do not fit, when a setting is out of range or has not a weight for every class, or
/// when a label is no class (found on the CPU; other devices would have to wait for the check, and the
/// loss is NaN on NVIDIA GPUs).
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{CrossEntropyConfig, cross_entropy};
///
/// let logits = Tensor::zeros((1, 2, 1, 3), candle_core::DType::F64, &Device::Cpu)?;
/// let labels = Tensor::new(&[[[0u8, 1, 255]]], &Device::Cpu)?;
/// let config = CrossEntropyConfig { ignore_index: Some(255), ..Default::default() };
/// let loss = cross_entropy(&logits, &labels, &config)?.to_scalar::<f64>()?;
/// assert!((loss - 2f64.ln()).abs() < 1e-15);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    config: &CrossEntropyConfig<'_>,
) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    config.check(logits.dim(1)?)?;
    #[cfg(feature = "cuda")]
    if let Some(pixels) = cuda::Pixels::of(logits, labels, config.ignore_index)? {
        return cuda::losses::losses(OP, logits, pixels, (), config.on_cuda());
    }
    if !runs_on_cpu(logits) {
        return composed::cross_entropy(&widened(logits)?, labels, config);
    }
    let pixels = Pixels::new(OP, logits, labels, config.ignore_index)?;
    match config.weighted(logits.dim(1)?) {
        Some(loss) => pixel_loss::apply(OP, logits, pixels, (), loss),
        None => pixel_loss::apply(OP, logits, pixels, (), CrossEntropy),
    }
}

impl<'a> CrossEntropyConfig<'a> {
    /// Checks the settings for so many classes.
    ///
    /// # Errors
    /// When a number is out of range, or when there is not a weight for every class.
    pub fn check(&self, classes: usize) -> Result<()> {
        if !(0. ..=1.).contains(&self.smoothing) {
            let expected = "a number from 0 to 1";
            return Err(value_error(OP, "the smoothing", &self.smoothing, expected));
        }
        check_class_weights(OP, self.class_weights, classes)
    }

    /// This loss alone.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_cuda(&self) -> cuda::losses::Losses<'a> {
        cuda::losses::Losses {
            cross_entropy: true,
            class_weights: self.class_weights,
            smoothing: self.smoothing,
            ..Default::default()
        }
    }

    /// The kernel for what is not the plain mean.
    pub(crate) fn weighted(&self, classes: usize) -> Option<WeightedCrossEntropy> {
        let plain = self.class_weights.is_none() && self.smoothing == 0.;
        (!plain).then(|| WeightedCrossEntropy {
            weights: weights_by_label(self.class_weights, classes),
            smoothing: self.smoothing,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{
        assert_close, assert_gradients, assert_ignores, assert_same, random, scores_and_labels,
    };
    use crate::cpu::at_each_level;

    const PLAIN: CrossEntropyConfig<'_> = CrossEntropyConfig {
        class_weights: None,
        smoothing: 0.,
        ignore_index: None,
    };

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
            cross_entropy(&x[0], &labels(), &PLAIN)
        });
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let logits = (random(1, &[2, 3, 2, 3]) * 3.).unwrap();
        let reference = |x: &[Tensor]| composed::cross_entropy(&x[0], &labels(), &PLAIN);
        let f = |x: &[Tensor]| cross_entropy(&x[0], &labels(), &PLAIN);
        assert_same("cross_entropy", &[logits], f, reference);
    }

    #[test]
    fn images_of_many_pixels() {
        let logits = (random(1, &[3, 5, 19, 21]) * 3.).unwrap();
        let values: Vec<u32> = (0..3 * 19 * 21).map(|i| i * 7 % 5).collect();
        let labels = Tensor::from_vec(values, (3, 19, 21), logits.device()).unwrap();
        let reference = |x: &[Tensor]| composed::cross_entropy(&x[0], &labels, &PLAIN);
        let f = |x: &[Tensor]| cross_entropy(&x[0], &labels, &PLAIN);
        assert_same("cross_entropy", &[logits], f, reference);
    }

    #[test]
    fn every_integer_type_of_labels() {
        let logits = random(1, &[2, 3, 2, 3]);
        let loss = |dtype| {
            let labels = labels().to_dtype(dtype).unwrap();
            cross_entropy(&logits, &labels, &PLAIN)
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
        };
        use candle_core::DType;
        assert_eq!(loss(DType::U8), loss(DType::U32));
        assert_eq!(loss(DType::U8), loss(DType::I64));
        let error =
            cross_entropy(&logits, &labels().to_dtype(DType::F32).unwrap(), &PLAIN).unwrap_err();
        assert!(
            error.to_string().contains("expected u8, u32 or i64"),
            "{error}"
        );
    }

    #[test]
    fn a_label_out_of_range_is_an_error() {
        let logits = random(1, &[2, 2, 2, 3]);
        let error = cross_entropy(&logits, &labels(), &PLAIN)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("label 2 is out of range for 2 classes"),
            "{error}"
        );
        let error = cross_entropy(&random(1, &[2, 3, 3, 3]), &labels(), &PLAIN)
            .unwrap_err()
            .to_string();
        assert!(error.contains("the labels has shape [2, 2, 3]"), "{error}");
    }

    const WEIGHTS: [f32; 3] = [0.5, 2., 1.25];

    fn configs() -> impl Iterator<Item = CrossEntropyConfig<'static>> {
        let settings = [
            (None, 0.),
            (Some(&WEIGHTS[..]), 0.),
            (None, 0.1),
            (Some(&WEIGHTS[..]), 0.3),
        ];
        let configs = settings.map(|(class_weights, smoothing)| CrossEntropyConfig {
            class_weights,
            smoothing,
            ignore_index: Some(255),
        });
        configs.into_iter()
    }

    #[test]
    fn gradients_with_weights_and_smoothing() {
        let (logits, labels) = scores_and_labels([2, 3, 2, 7]);
        for config in configs() {
            assert_gradients("cross_entropy", std::slice::from_ref(&logits), |x| {
                cross_entropy(&x[0], &labels, &config)
            });
        }
    }

    #[test]
    fn the_kernel_agrees_with_candle_with_weights_and_smoothing() {
        let (logits, labels) = scores_and_labels([3, 3, 19, 21]);
        for config in configs() {
            let reference = |x: &[Tensor]| composed::cross_entropy(&x[0], &labels, &config);
            let f = |x: &[Tensor]| cross_entropy(&x[0], &labels, &config);
            let same =
                |_| assert_same("cross_entropy", std::slice::from_ref(&logits), f, reference);
            at_each_level(same);
        }
    }

    #[test]
    fn ignored_pixels_are_not_there() {
        for config in configs() {
            assert_ignores("cross_entropy", |logits, labels| {
                cross_entropy(logits, labels, &config)
            });
        }
    }

    #[test]
    fn weights_of_one_and_no_smoothing_change_nothing() {
        let (logits, labels) = scores_and_labels([3, 3, 19, 21]);
        let weighted = CrossEntropyConfig {
            class_weights: Some(&[1.; 3]),
            ignore_index: Some(255),
            smoothing: 0.,
        };
        let plain = CrossEntropyConfig {
            class_weights: None,
            ..weighted
        };
        assert_same(
            "cross_entropy",
            &[logits],
            |x| cross_entropy(&x[0], &labels, &weighted),
            |x| cross_entropy(&x[0], &labels, &plain),
        );
    }

    #[test]
    fn small_weights_are_weights() {
        let (logits, labels) = scores_and_labels([3, 3, 19, 21]);
        let config = |weights| CrossEntropyConfig {
            class_weights: Some(weights),
            ignore_index: Some(255),
            smoothing: 0.,
        };
        let loss = |weights| composed::cross_entropy(&logits, &labels, &config(weights)).unwrap();
        assert_close("cross_entropy", &loss(&[1e-9; 3]), &loss(&[1.; 3]), 1e-7);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let logits = random(1, &[2, 3, 2, 3]);
        let error = |class_weights, smoothing| {
            let config = CrossEntropyConfig {
                class_weights,
                smoothing,
                ignore_index: None,
            };
            let error = cross_entropy(&logits, &labels(), &config);
            error.unwrap_err().to_string()
        };
        for (weights, message) in [
            (
                &[1f32, 2.][..],
                "the number of class weights is 2, expected 3",
            ),
            (
                &[1., -2., 1.],
                "a class weight is -2, expected a finite number",
            ),
            (
                &[0., 0., 0.],
                "every class weight is 0, expected at least one above 0",
            ),
        ] {
            let error = error(Some(weights), 0.);
            assert!(
                error.starts_with(&format!("cross_entropy: {message}")),
                "{error}"
            );
        }
        assert_eq!(
            error(None, f64::NAN),
            "cross_entropy: the smoothing is NaN, expected a number from 0 to 1"
        );
    }
}
