//! Instance, group and batch normalisation of feature maps, with what follows them in a residual
//! network: the sum with a shortcut and the activation.
//!
//! All three are `activation((x - mean) / √(variance + eps) · weight + bias + residual)` and differ
//! only in the pixels that share a mean and a variance. On the CPU one operation computes it (but for batch
//! normalisation in evaluation, whose statistics are given) and
//! keeps nothing but its inputs and the statistics; variances are biased and taken in two passes,
//! which loses less than Flax's `E[x²] - E[x]²` when the mean is large.

mod composed;
mod cpu;

use candle_core::{DType, Result, Tensor};

use crate::activation::Activation;
use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, shape_error, value_error};
use crate::precision::widened;

/// Scale and shift of every channel, applied after the normalisation.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// `[channels]`, the factor.
    pub weight: &'a Tensor,
    /// `[channels]`, the summand.
    pub bias: &'a Tensor,
}

/// What follows a normalisation, computed in the same pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Added before the activation; the shape of the input.
    pub residual: Option<&'a Tensor>,
    /// Applied last.
    pub activation: Activation,
}

impl Epilogue<'_> {
    /// Only an activation.
    pub fn activation(activation: Activation) -> Self {
        Self {
            residual: None,
            activation,
        }
    }
}

/// Mean and biased variance of each channel of a batch.
#[derive(Debug, Clone)]
pub struct BatchStatistics {
    /// `[channels]`
    pub mean: Tensor,
    /// `[channels]`
    pub variance: Tensor,
}

/// Instance normalisation: every channel of every image by its own mean and variance (Ulyanov et
/// al. 2016, <https://arxiv.org/abs/1607.08022>). The same in training and evaluation.
///
/// # Shapes
/// - `xs`: `[batch, channels, ..]`
/// - returns: the shape of `xs`
///
/// # Errors
/// When the shapes do not fit.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{Activation, Epilogue, instance_norm};
///
/// let xs = Tensor::randn(5f32, 3., (2, 4, 8, 8), &Device::Cpu)?;
/// let relu = Epilogue { activation: Activation::Relu, ..Epilogue::default() };
/// let ys = instance_norm(&xs, None, 1e-6, relu)?;
/// assert!(ys.min_all()?.to_scalar::<f32>()? >= 0.);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn instance_norm(
    xs: &Tensor,
    affine: Option<Affine<'_>>,
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let Layout { channels, .. } = Layout::new("instance_norm", xs)?;
    group_norm(xs, channels, affine, eps, epilogue)
}

/// Group normalisation: `groups` runs of channels of every image share mean and variance (Wu and
/// He 2018, <https://arxiv.org/abs/1803.08494>).
///
/// # Shapes
/// - `xs`: `[batch, channels, ..]`
/// - returns: the shape of `xs`
///
/// # Errors
/// When the shapes do not fit, or when `groups` does not divide the channels.
pub fn group_norm(
    xs: &Tensor,
    groups: usize,
    affine: Option<Affine<'_>>,
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    const OP: &str = "group_norm";
    let xs = &widened(xs)?;
    let layout = Layout::new(OP, xs)?;
    if groups == 0 || layout.channels % groups != 0 {
        let expected = format!("a divisor of the {} channels", layout.channels);
        return Err(value_error(OP, "groups", &groups, expected));
    }
    let affine = layout.affine(OP, xs, affine)?;
    let statistics = Statistics::Group { groups };
    let moments = moments(xs, statistics)?;
    normalise(OP, xs, &affine, (statistics, &moments), eps, epilogue)
}

/// Batch normalisation in training: every channel by its mean and variance over the batch (Ioffe
/// and Szegedy 2015, <https://arxiv.org/abs/1502.03167>). The statistics are returned, detached, so
/// that the caller can update the running ones.
///
/// # Shapes
/// - `xs`: `[batch, channels, ..]`
/// - returns: the shape of `xs`
///
/// # Errors
/// When the shapes do not fit.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{Epilogue, batch_norm_eval, batch_norm_train};
///
/// let xs = Tensor::randn(5f32, 3., (2, 4, 8, 8), &Device::Cpu)?;
/// let (ys, statistics) = batch_norm_train(&xs, None, 1e-5, Epilogue::default())?;
/// // With the batch's own statistics, evaluation gives the same.
/// let zs = batch_norm_eval(&xs, &statistics, None, 1e-5, Epilogue::default())?;
/// let off = (ys - zs)?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(off < 1e-4, "{off}");
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm_train(
    xs: &Tensor,
    affine: Option<Affine<'_>>,
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<(Tensor, BatchStatistics)> {
    const OP: &str = "batch_norm_train";
    let xs = &widened(xs)?;
    let layout = Layout::new(OP, xs)?;
    let affine = layout.affine(OP, xs, affine)?;
    let moments = moments(xs, Statistics::Batch)?;
    let ys = normalise(
        OP,
        xs,
        &affine,
        (Statistics::Batch, &moments),
        eps,
        epilogue,
    )?;
    Ok((
        ys,
        BatchStatistics {
            mean: moments.get(0)?,
            variance: moments.get(1)?,
        },
    ))
}

/// Batch normalisation in evaluation: by given means and variances, which are constants.
///
/// # Shapes
/// - `xs`: `[batch, channels, ..]`
/// - `statistics`: `[channels]` each
/// - returns: the shape of `xs`
///
/// # Errors
/// When the shapes do not fit.
pub fn batch_norm_eval(
    xs: &Tensor,
    statistics: &BatchStatistics,
    affine: Option<Affine<'_>>,
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    const OP: &str = "batch_norm_eval";
    let xs = &widened(xs)?;
    let layout = Layout::new(OP, xs)?;
    check_shape(OP, "the mean", &statistics.mean, layout.channels)?;
    check_shape(OP, "the variance", &statistics.variance, layout.channels)?;
    // A normalisation by constants is an affine map of its own: fold them into scale and shift.
    let affine = layout.affine(OP, xs, affine)?;
    let scale = (&affine.get(0)? / (statistics.variance.detach() + eps)?.sqrt()?)?;
    let shift = (affine.get(1)? - (statistics.mean.detach() * &scale)?)?;
    let mut shape = vec![1; xs.rank()];
    shape[1] = layout.channels;
    let ys = xs.broadcast_mul(&scale.reshape(shape.as_slice())?)?;
    let ys = ys.broadcast_add(&shift.reshape(shape.as_slice())?)?;
    let ys = match epilogue.residual {
        Some(residual) => (ys + widened(residual)?)?,
        None => ys,
    };
    epilogue.activation.apply(&ys)
}

/// Which pixels share a mean and a variance.
#[derive(Debug, Clone, Copy)]
enum Statistics {
    /// Those of an image in one of so many runs of channels.
    Group { groups: usize },
    /// Those of a channel in all images.
    Batch,
}

/// `[2, n]`: the mean and the biased variance of every set of pixels that share them, detached.
fn moments(xs: &Tensor, statistics: Statistics) -> Result<Tensor> {
    if runs_on_cpu(xs) {
        cpu::moments(xs, statistics)
    } else {
        composed::moments(&xs.detach(), statistics)
    }
}

fn normalise(
    op: &'static str,
    xs: &Tensor,
    affine: &Tensor,
    (statistics, moments): (Statistics, &Tensor),
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let residual = epilogue.residual.map(widened).transpose()?;
    let epilogue = Epilogue {
        residual: residual.as_ref(),
        ..epilogue
    };
    if let Some(residual) = &residual {
        check_shape(op, "the residual", residual, xs.shape())?;
    }
    if let Activation::LeakyRelu { slope } = epilogue.activation
        && slope <= 0.
    {
        let what = "the slope of the activation";
        return Err(value_error(op, what, &slope, "greater than 0"));
    }
    if runs_on_cpu(xs) {
        cpu::normalise(op, xs, affine, statistics, moments, eps, epilogue)
    } else {
        composed::normalise(xs, affine, statistics, eps, epilogue)
    }
}

/// Sizes of a feature map.
#[derive(Debug, Clone, Copy)]
struct Layout {
    channels: usize,
}

impl Layout {
    fn new(op: &'static str, xs: &Tensor) -> Result<Self> {
        match xs.dims() {
            &[_, channels, ..] if xs.elem_count() > 0 => Ok(Self { channels }),
            _ => Err(shape_error(
                op,
                "the input",
                xs,
                "[batch, channels, ..], not empty",
            )),
        }
    }

    /// `[2, channels]`: weight and bias, or ones and zeros.
    fn affine(self, op: &'static str, xs: &Tensor, affine: Option<Affine<'_>>) -> Result<Tensor> {
        if let Some(Affine { weight, bias }) = affine {
            check_shape(op, "the weight", weight, self.channels)?;
            check_shape(op, "the bias", bias, self.channels)?;
            return Tensor::stack(&[weight, bias], 0);
        }
        let dtype: DType = xs.dtype();
        let ones = Tensor::ones((1, self.channels), dtype, xs.device())?;
        Tensor::cat(&[&ones, &ones.zeros_like()?], 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_close, assert_gradients, assert_same, random};

    const LEAKY: Activation = Activation::LeakyRelu { slope: 0.1 };
    const EPS: f64 = 1e-5;

    /// Input, weight, bias, residual.
    fn inputs(shape: &[usize]) -> [Tensor; 4] {
        let channels = &shape[1..2];
        let xs = (random(1, shape) + 0.5).unwrap();
        [
            xs,
            random(2, channels),
            random(3, channels),
            random(4, shape),
        ]
    }

    fn affine(x: &[Tensor]) -> Option<Affine<'_>> {
        Some(Affine {
            weight: &x[1],
            bias: &x[2],
        })
    }

    /// Every kind of statistics, with and without a residual and an activation.
    fn each(mut check: impl FnMut(&str, Statistics, bool, Activation)) {
        let kinds = [
            Statistics::Group { groups: 4 },
            Statistics::Group { groups: 2 },
            Statistics::Batch,
        ];
        for statistics in kinds {
            for residual in [false, true] {
                for activation in [Activation::Identity, Activation::Relu, LEAKY] {
                    let what = format!("{statistics:?}, residual {residual}, {activation:?}");
                    check(&what, statistics, residual, activation);
                }
            }
        }
    }

    fn compute(
        x: &[Tensor],
        statistics: Statistics,
        residual: bool,
        activation: Activation,
    ) -> Result<Tensor> {
        let epilogue = Epilogue {
            residual: residual.then(|| &x[3]),
            activation,
        };
        match statistics {
            Statistics::Group { groups: 4 } => instance_norm(&x[0], affine(x), EPS, epilogue),
            Statistics::Group { groups } => group_norm(&x[0], groups, affine(x), EPS, epilogue),
            Statistics::Batch => Ok(batch_norm_train(&x[0], affine(x), EPS, epilogue)?.0),
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        each(|what, statistics, residual, activation| {
            let inputs = &inputs(&[2, 4, 2, 3])[..if residual { 4 } else { 3 }];
            assert_gradients(what, inputs, |x| {
                compute(x, statistics, residual, activation)
            });
        });
    }

    #[test]
    fn kernels_agree_with_candle() {
        each(|what, statistics, residual, activation| {
            let inputs = &inputs(&[3, 4, 17, 9])[..if residual { 4 } else { 3 }];
            let reference = |x: &[Tensor]| {
                let epilogue = Epilogue {
                    residual: residual.then(|| &x[3]),
                    activation,
                };
                let affine = Tensor::stack(&x[1..3], 0)?;
                composed::normalise(&x[0], &affine, statistics, EPS, epilogue)
            };
            assert_same(
                what,
                inputs,
                |x| compute(x, statistics, residual, activation),
                reference,
            );
        });
    }

    #[test]
    fn without_an_affine_map() {
        let xs = random(1, &[2, 3, 4, 5]);
        assert_gradients("instance_norm", &[xs], |x| {
            instance_norm(&x[0], None, EPS, Epilogue::activation(LEAKY))
        });
    }

    #[test]
    fn evaluation_uses_the_given_statistics() {
        let x = inputs(&[2, 4, 3, 3]);
        let (ys, statistics) =
            batch_norm_train(&x[0], affine(&x), EPS, Epilogue::default()).unwrap();
        let again =
            batch_norm_eval(&x[0], &statistics, affine(&x), EPS, Epilogue::default()).unwrap();
        assert_close("batch_norm_eval", &again, &ys, 1e-12);
        let reference = composed::moments(&x[0], Statistics::Batch).unwrap();
        assert_close("mean", &statistics.mean, &reference.get(0).unwrap(), 1e-12);
        assert_close(
            "variance",
            &statistics.variance,
            &reference.get(1).unwrap(),
            1e-12,
        );
        assert_gradients("batch_norm_eval", &x, |x| {
            let epilogue = Epilogue {
                residual: Some(&x[3]),
                activation: LEAKY,
            };
            batch_norm_eval(&x[0], &statistics, affine(x), EPS, epilogue)
        });
    }

    #[test]
    fn a_large_mean_costs_no_precision() {
        let shape = [1, 1, 64, 64];
        let xs = ((random(1, &shape) * 0.01).unwrap() + 100.).unwrap();
        let xs = xs.to_dtype(DType::F32).unwrap();
        let ys = instance_norm(&xs, None, 1e-12, Epilogue::default()).unwrap();
        let variance = ys
            .sqr()
            .unwrap()
            .mean_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!((variance - 1.).abs() < 1e-3, "{variance}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = inputs(&[2, 4, 3, 3]);
        let error = group_norm(&x[0], 3, None, EPS, Epilogue::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "group_norm: groups is 3, expected a divisor of the 4 channels"
        );
        let epilogue = Epilogue {
            residual: Some(&x[1]),
            ..Epilogue::default()
        };
        let error = instance_norm(&x[0], None, EPS, epilogue).unwrap_err();
        assert!(
            error.to_string().contains("the residual has shape [4]"),
            "{error}"
        );
        let flat = Epilogue::activation(Activation::LeakyRelu { slope: 0. });
        let error = instance_norm(&x[0], None, EPS, flat).unwrap_err();
        assert!(error.to_string().contains("greater than 0"), "{error}");
    }
}
