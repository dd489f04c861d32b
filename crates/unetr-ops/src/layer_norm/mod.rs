//! Layer normalisation over the last dimension.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, shape_error};

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
pub fn layer_norm(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let Some(&size) = xs.dims().last() else {
        return Err(shape_error(OP, "the input", xs, "[.., n]"));
    };
    check_shape(OP, "the weight", weight, size)?;
    check_shape(OP, "the bias", bias, size)?;
    if runs_on_cpu(xs) {
        let affine = Tensor::stack(&[weight, bias], 0)?;
        xs.contiguous()?.apply_op2(&affine, cpu::LayerNorm { eps })
    } else {
        composed::layer_norm(xs, weight, bias, eps)
    }
}
