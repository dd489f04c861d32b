//! Focal loss of pixel-wise class scores.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::class_weights::{check_class_weights, weights_by_label};
use crate::cpu::runs_on_cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::error::value_error;
use crate::labels::check_labels;
use crate::pixel_loss;
use crate::pixels::Pixels;
use crate::precision::widened;

const OP: &str = "focal";

/// What [`focal`] focuses on, weighs and ignores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FocalConfig<'a> {
    /// How little pixels count that are right, at least 0; 2 by default, the paper's.
    pub gamma: f64,
    /// The weight of every class, at least 0, the paper's `α`; all are 1 by default.
    pub class_weights: Option<&'a [f32]>,
    /// Pixels with this label are left out, whether it is a class or not.
    pub ignore_index: Option<u32>,
}

impl Default for FocalConfig<'_> {
    fn default() -> Self {
        Self {
            gamma: 2.,
            class_weights: None,
            ignore_index: None,
        }
    }
}

impl FocalConfig<'_> {
    /// Checks the settings for so many classes.
    ///
    /// # Errors
    /// When a number is out of range, or when there is not a weight for every class.
    pub fn check(&self, classes: usize) -> Result<()> {
        if !(self.gamma.is_finite() && self.gamma >= 0.) {
            let expected = "a finite number of at least 0";
            return Err(value_error(OP, "gamma", &self.gamma, expected));
        }
        check_class_weights(OP, self.class_weights, classes)
    }
}

/// Focal loss (Lin et al. 2017, <https://arxiv.org/abs/1708.02002>) of a softmax: the mean over the
/// pixels that are not ignored of `-w·(1 - p)^gamma·log p`, with `p` the probability of the label and
/// `w` the weight of its class. As in the paper, the weights are not divided by their sum. Without any
/// such pixel it is 0.
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
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{FocalConfig, focal};
///
/// let logits = Tensor::zeros((1, 2, 4, 4), DType::F64, &Device::Cpu)?;
/// let labels = Tensor::zeros((1, 4, 4), DType::U8, &Device::Cpu)?;
/// let loss = focal(&logits, &labels, &FocalConfig::default())?.to_scalar::<f64>()?;
/// assert!((loss - 0.25 * 2f64.ln()).abs() < 1e-15);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn focal(logits: &Tensor, labels: &Tensor, config: &FocalConfig<'_>) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    let classes = logits.dim(1)?;
    config.check(classes)?;
    #[cfg(feature = "cuda")]
    if let Some(pixels) = cuda::Pixels::of(logits, labels, config.ignore_index)? {
        let focal = cuda::losses::Losses {
            focal: Some(config.gamma),
            class_weights: config.class_weights,
            ..Default::default()
        };
        return cuda::losses::losses(OP, logits, pixels, (), focal);
    }
    if !runs_on_cpu(logits) {
        return composed::focal(&widened(logits)?, labels, config);
    }
    let loss = cpu::Focal {
        gamma: config.gamma,
        weights: weights_by_label(config.class_weights, classes),
    };
    let pixels = Pixels::new(OP, logits, labels, config.ignore_index)?;
    pixel_loss::apply(OP, logits, pixels, (), loss)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_ignores, assert_same, scores_and_labels};
    use crate::cpu::at_each_level;

    const WEIGHTS: [f32; 3] = [0.5, 2., 1.25];

    fn configs() -> impl Iterator<Item = FocalConfig<'static>> {
        let settings = [
            (0., None),
            (0.5, None),
            (2., Some(&WEIGHTS[..])),
            (3.7, None),
        ];
        settings
            .into_iter()
            .map(|(gamma, class_weights)| FocalConfig {
                gamma,
                class_weights,
                ignore_index: Some(255),
            })
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (logits, labels) = scores_and_labels([2, 3, 2, 7]);
        for config in configs() {
            assert_gradients("focal", std::slice::from_ref(&logits), |x| {
                focal(&x[0], &labels, &config)
            });
        }
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let (logits, labels) = scores_and_labels([3, 3, 19, 21]);
        for config in configs() {
            let reference = |x: &[Tensor]| composed::focal(&x[0], &labels, &config);
            let f = |x: &[Tensor]| focal(&x[0], &labels, &config);
            at_each_level(|_| assert_same("focal", std::slice::from_ref(&logits), f, reference));
        }
    }

    #[test]
    fn ignored_pixels_are_not_there() {
        for config in configs() {
            let config = FocalConfig {
                class_weights: None,
                ..config
            };
            assert_ignores("focal", |logits, labels| focal(logits, labels, &config));
        }
    }

    #[test]
    fn pixels_that_are_certain_have_a_finite_gradient() {
        let device = candle_core::Device::Cpu;
        let labels = Tensor::new(&[[0u8, 0, 0]], &device).unwrap();
        let logits = Tensor::new(&[[[200f32, 20., -200.], [0., 0., 0.]]], &device).unwrap();
        for gamma in [0., 0.1, 0.5, 1., 2.] {
            let config = FocalConfig {
                gamma,
                ..FocalConfig::default()
            };
            let logits = candle_core::Var::from_tensor(&logits).unwrap();
            let loss = focal(&logits, &labels, &config).unwrap();
            let grads = loss.backward().unwrap();
            let grads = crate::check::values(grads.get(&logits).unwrap());
            assert!((loss.to_scalar::<f32>().unwrap() - 200. / 3.).abs() < 1e-4);
            let expected = [0., 0., -1., 0., 0., 1.].map(|x| x / 3.);
            for (grad, expected) in grads.into_iter().zip(expected) {
                assert!(
                    (grad - expected).abs() < 2e-2,
                    "gamma {gamma}: {grad}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let (logits, labels) = scores_and_labels([1, 3, 2, 2]);
        let error = |gamma, class_weights| {
            let config = FocalConfig {
                gamma,
                class_weights,
                ignore_index: None,
            };
            focal(&logits, &labels, &config).unwrap_err().to_string()
        };
        assert_eq!(
            error(-1., None),
            "focal: gamma is -1, expected a finite number of at least 0"
        );
        assert_eq!(
            error(2., Some(&[1., 2.])),
            "focal: the number of class weights is 2, expected 3, one for each class of the logits"
        );
    }
}
