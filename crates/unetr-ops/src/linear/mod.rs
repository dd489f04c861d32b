//! Fully connected layer.

mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor};

pub(crate) use cpu::Layer;

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
    if inputs == 0 {
        return Err(shape_error(OP, "the weight", weight, "at least one input"));
    }
    if let Some(bias) = bias {
        check_shape(OP, "the bias", bias, outputs)?;
    }
    if runs_on_cpu(xs) {
        return cpu::linear(xs, weight, bias);
    }
    #[cfg(feature = "cuda")]
    if crate::cuda::runs_on_cuda(xs) {
        return cuda::linear(xs, weight, bias);
    }
    composed::linear(xs, weight, bias)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (xs, weight, bias) = (random(1, &[2, 3, 5]), random(2, &[4, 5]), random(3, &[4]));
        assert_gradients("linear", &[xs.clone(), weight.clone()], |x| {
            linear(&x[0], &x[1], None)
        });
        assert_gradients("linear with bias", &[xs, weight, bias], |x| {
            linear(&x[0], &x[1], Some(&x[2]))
        });
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        for (rows, inputs, outputs) in [(1, 1, 1), (7, 33, 19), (64, 48, 80)] {
            let inputs = [
                random(1, &[rows, inputs]),
                random(2, &[outputs, inputs]),
                random(3, &[outputs]),
            ];
            let reference = |x: &[Tensor]| composed::linear(&x[0], &x[1], Some(&x[2]));
            assert_same(
                "linear",
                &inputs,
                |x| linear(&x[0], &x[1], Some(&x[2])),
                reference,
            );
        }
    }

    #[test]
    fn inputs_that_are_not_contiguous() {
        let inputs = [random(1, &[5, 6]), random(2, &[5, 3])];
        let f = |x: &[Tensor]| linear(&x[0].t()?, &x[1].t()?, None);
        let reference = |x: &[Tensor]| composed::linear(&x[0].t()?, &x[1].t()?, None);
        assert_same("linear of transposes", &inputs, f, reference);
    }

    #[test]
    fn a_width_that_does_not_fit_is_named() {
        let error = linear(&random(1, &[2, 3]), &random(2, &[4, 5]), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "linear: the input has shape [2, 3], expected [.., 5]"
        );
        let none = |shape: &[usize]| Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap();
        let error = linear(&none(&[3, 0]), &none(&[4, 0]), None).unwrap_err();
        assert!(error.to_string().contains("at least one input"), "{error}");
    }
}
