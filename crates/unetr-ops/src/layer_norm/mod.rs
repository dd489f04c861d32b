//! Layer normalisation over the last dimension.

mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor};

pub(crate) use cpu::{Gradients, LayerNorm};

use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, shape_error};
use crate::many;

const OP: &str = "layer_norm";

/// Layer normalisation over the last dimension (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>),
/// differentiable, which `candle_nn`'s fused one is not.
///
/// # Shapes
/// - `xs`: `[.., n]`
/// - `weight`, `bias`: `[n]`
/// - returns: the shape of `xs`
///
/// # Errors
/// When the shapes do not fit.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::layer_norm;
///
/// let xs = Tensor::new(&[[1f32, 3.], [-2., 2.]], &Device::Cpu)?;
/// let (weight, bias) = (Tensor::ones(2, DType::F32, &Device::Cpu)?, Tensor::zeros(2, DType::F32, &Device::Cpu)?);
/// let ys = layer_norm(&xs, &weight, &bias, 0.)?;
/// assert_eq!(ys.to_vec2::<f32>()?, [[-1., 1.], [-1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn layer_norm(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let Some(&size) = xs.dims().last() else {
        return Err(shape_error(OP, "the input", xs, "[.., n]"));
    };
    if xs.elem_count() == 0 {
        return Err(shape_error(OP, "the input", xs, "at least one number"));
    }
    check_shape(OP, "the weight", weight, size)?;
    check_shape(OP, "the bias", bias, size)?;
    if runs_on_cpu(xs) {
        return many::apply(OP, &[xs, weight, bias], xs.shape(), LayerNorm { eps });
    }
    #[cfg(feature = "cuda")]
    if crate::cuda::runs_on_cuda(xs) {
        return cuda::layer_norm(xs, weight, bias, eps);
    }
    composed::layer_norm(xs, weight, bias, eps)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let inputs = [random(1, &[2, 3, 7]), random(2, &[7]), random(3, &[7])];
        assert_gradients("layer_norm", &inputs, |x| {
            layer_norm(&x[0], &x[1], &x[2], 1e-6)
        });
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let xs = ((random(1, &[150, 40]) * 2.).unwrap() + 3.).unwrap();
        let inputs = [xs, random(2, &[40]), random(3, &[40])];
        let reference = |x: &[Tensor]| composed::layer_norm(&x[0], &x[1], &x[2], 1e-6);
        let f = |x: &[Tensor]| layer_norm(&x[0], &x[1], &x[2], 1e-6);
        assert_same("layer_norm", &inputs, f, reference);
    }

    #[test]
    fn a_bias_of_another_size_is_refused() {
        let error = layer_norm(
            &random(1, &[2, 7]),
            &random(2, &[7]),
            &random(3, &[6]),
            1e-6,
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("the bias has shape [6], expected [7]")
        );
    }
}
