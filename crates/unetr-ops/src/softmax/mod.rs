//! Softmax over the last dimension.

mod cpu;

use candle_core::{D, Result, Tensor};

pub(crate) use cpu::{softmax_gradient_in_place, softmax_in_place};

use crate::cpu::runs_on_cpu;
use crate::many;

/// Softmax over the last dimension, differentiable, which `candle_nn`'s fused one is not.
///
/// # Shapes
/// - `xs`: `[.., n]`
/// - returns: the same shape; the last dimension sums to 1
///
/// # Errors
/// When `xs` is a scalar.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::softmax_last_dim;
///
/// let xs = Tensor::new(&[[7f32, 7.]], &Device::Cpu)?;
/// assert_eq!(softmax_last_dim(&xs)?.to_vec2::<f32>()?, [[0.5, 0.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn softmax_last_dim(xs: &Tensor) -> Result<Tensor> {
    match xs.dims() {
        &[.., size] if runs_on_cpu(xs) => {
            many::apply("softmax", &[xs], xs.shape(), cpu::Softmax { size })
        }
        _ => candle_nn::ops::softmax(xs, D::Minus1),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    #[test]
    fn gradients_are_those_of_finite_differences() {
        assert_gradients("softmax", &[random(1, &[2, 3, 5])], |x| {
            softmax_last_dim(&x[0])
        });
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let xs = (random(2, &[4, 3, 37]) * 20.).unwrap();
        let reference = |x: &[Tensor]| candle_nn::ops::softmax(&x[0], D::Minus1);
        assert_same("softmax", &[xs], |x| softmax_last_dim(&x[0]), reference);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let xs = Tensor::new(&[1e30f32, 0., -1e30], &candle_core::Device::Cpu).unwrap();
        assert_eq!(
            softmax_last_dim(&xs).unwrap().to_vec1::<f32>().unwrap(),
            [1., 0., 0.]
        );
    }
}
