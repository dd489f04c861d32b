//! Softmax over the last dimension.

mod cpu;

use candle_core::{D, Result, Tensor};

use crate::cpu::runs_on_cpu;

/// Softmax over the last dimension, differentiable, which `candle_nn`'s fused one is not.
///
/// # Shapes
/// - `xs`: `[.., n]`
/// - returns: the same shape; the last dimension sums to 1
///
/// # Errors
/// When `xs` is a scalar.
pub fn softmax_last_dim(xs: &Tensor) -> Result<Tensor> {
    if runs_on_cpu(xs) && xs.rank() > 0 {
        xs.contiguous()?.apply_op1(cpu::Softmax)
    } else {
        candle_nn::ops::softmax(xs, D::Minus1)
    }
}
