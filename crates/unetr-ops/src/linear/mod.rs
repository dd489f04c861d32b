//! Fully connected layer.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, shape_error};

const OP: &str = "linear";

/// `y = x · Wᵀ + b` over the last dimension.
///
/// # Shapes
/// - `xs`: `[.., in]`
/// - `weight`: `[out, in]`
/// - `bias`: `[out]`
/// - returns: `[.., out]`
///
/// # Errors
/// When the shapes do not fit.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
///
/// let xs = Tensor::ones((2, 5, 3), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(unetr_ops::linear(&xs, &weight, None)?.dims(), [2, 5, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    match xs.dims().split_last() {
        Some((&last, _)) if last == inputs => {}
        _ => return Err(shape_error(OP, "the input", xs, format!("[.., {inputs}]"))),
    }
    if let Some(bias) = bias {
        check_shape(OP, "the bias", bias, outputs)?;
    }
    if runs_on_cpu(xs) {
        cpu::linear(xs, weight, bias)
    } else {
        composed::linear(xs, weight, bias)
    }
}
