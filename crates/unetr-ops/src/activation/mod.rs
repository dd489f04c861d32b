//! Pointwise non-linearities.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};
pub(crate) use cpu::{Pointwise, rectify, rectify_grad};
use serde::{Deserialize, Serialize};

use crate::cpu::runs_on_cpu;
use crate::many;

/// Which formula a GELU follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gelu {
    /// `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`, Flax's default.
    #[default]
    Tanh,
    /// `x · Φ(x)` with the error function, PyTorch's and MONAI's default.
    Erf,
}

/// Gaussian error linear unit (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>).
///
/// # Shapes
/// - `xs`: any shape
/// - returns: the same shape
///
/// # Errors
/// When Candle cannot allocate the result.
pub fn gelu(xs: &Tensor, formula: Gelu) -> Result<Tensor> {
    if runs_on_cpu(xs) {
        many::apply("gelu", &[xs], xs.shape(), Pointwise::from(formula))
    } else {
        composed::gelu(xs, formula)
    }
}

/// The non-linearity that follows a normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Activation {
    /// None.
    #[default]
    Identity,
    /// `max(x, 0)`, with derivative 0 at 0.
    Relu,
    /// `x` where `x ≥ 0`, `slope · x` elsewhere; the derivative at 0 is 1, as in Flax.
    ///
    /// Source: Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models", section 2
    LeakyRelu {
        /// The factor for negative numbers.
        slope: f64,
    },
}

impl Activation {
    /// Applies the activation to every element.
    ///
    /// # Errors
    /// When Candle cannot allocate the result.
    pub fn apply(self, xs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(xs.clone()),
            _ if runs_on_cpu(xs) => {
                many::apply("activation", &[xs], xs.shape(), Pointwise::from(self))
            }
            _ => composed::activation(xs, self),
        }
    }

    /// The factor for negative numbers and the derivative at 0; for the identity, 1 and 1.
    pub(crate) fn negative_slope(self) -> (f64, f64) {
        match self {
            Self::Identity => (1., 1.),
            Self::Relu => (0., 0.),
            Self::LeakyRelu { slope } => (slope, 1.),
        }
    }
}

/// `x` where `x ≥ 0`, `slope · x` elsewhere; the derivative at 0 is 1, as in Flax.
///
/// # Shapes
/// - `xs`: any shape
/// - returns: the same shape
///
/// # Errors
/// When Candle cannot allocate the result.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::leaky_relu;
///
/// let xs = Tensor::new(&[-2f32, 3.], &Device::Cpu)?;
/// assert_eq!(leaky_relu(&xs, 0.5)?.to_vec1::<f32>()?, [-1., 3.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn leaky_relu(xs: &Tensor, slope: f64) -> Result<Tensor> {
    Activation::LeakyRelu { slope }.apply(xs)
}

/// `max(x, 0)`, with derivative 0 at 0.
///
/// # Shapes
/// - `xs`: any shape
/// - returns: the same shape
///
/// # Errors
/// When Candle cannot allocate the result.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    Activation::Relu.apply(xs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    const ALL: [Activation; 3] = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
    ];

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let xs = (random(1, &[3, 7]) * 4.).unwrap();
        for formula in [Gelu::Tanh, Gelu::Erf] {
            assert_gradients("gelu", std::slice::from_ref(&xs), |x| gelu(&x[0], formula));
        }
        for activation in ALL {
            assert_gradients("activation", std::slice::from_ref(&xs), |x| {
                activation.apply(&x[0])
            });
        }
    }

    #[test]
    fn kernels_agree_with_candle() {
        let xs = (random(2, &[5, 33]) * 4.).unwrap();
        for formula in [Gelu::Tanh, Gelu::Erf] {
            let reference = |x: &[Tensor]| composed::gelu(&x[0], formula);
            assert_same(
                "gelu",
                std::slice::from_ref(&xs),
                |x| gelu(&x[0], formula),
                reference,
            );
        }
        for activation in ALL {
            let reference = |x: &[Tensor]| composed::activation(&x[0], activation);
            assert_same(
                "activation",
                std::slice::from_ref(&xs),
                |x| activation.apply(&x[0]),
                reference,
            );
        }
    }

    #[test]
    fn what_is_not_finite_stays_so_but_for_what_is_cut_off() {
        let xs = [f32::NEG_INFINITY, -1., 0., f32::INFINITY, f32::NAN];
        let xs = Tensor::new(&xs, &candle_core::Device::Cpu).unwrap();
        for (activation, expected) in [
            (Activation::Relu, [0., 0., 0., f32::INFINITY]),
            (
                Activation::LeakyRelu { slope: 0.5 },
                [f32::NEG_INFINITY, -0.5, 0., f32::INFINITY],
            ),
        ] {
            for ys in [activation.apply(&xs), composed::activation(&xs, activation)] {
                let ys = ys.unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(ys[..4], expected, "{activation:?}");
                assert!(ys[4].is_nan());
            }
        }
    }

    #[test]
    fn derivatives_at_zero() {
        let derivative = |activation: Activation| {
            let zero =
                candle_core::Var::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)
                    .unwrap();
            let grads = activation.apply(&zero).unwrap().backward().unwrap();
            grads.get(&zero).unwrap().to_scalar::<f32>().unwrap()
        };
        assert_eq!(derivative(Activation::Relu), 0.);
        assert_eq!(derivative(Activation::LeakyRelu { slope: 0.01 }), 1.);
    }
}
