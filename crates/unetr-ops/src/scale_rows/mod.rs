//! A factor for every row of a matrix.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, shape_error};
use crate::many;

const OP: &str = "scale_rows";

/// Multiplies every row by its factor: `diag(factors) · xs`, so that a [`linear`](crate::linear)
/// layer with the scaled weight and bias gives scaled outputs.
///
/// # Shapes
/// - `xs`: `[rows, ..]`
/// - `factors`: `[rows]`
/// - returns: the shape of `xs`
///
/// # Errors
/// When there are not as many factors as rows.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::scale_rows;
///
/// let xs = Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu)?;
/// let factors = Tensor::new(&[10f32, -1.], &Device::Cpu)?;
/// assert_eq!(scale_rows(&xs, &factors)?.to_vec2::<f32>()?, [[10., 20.], [-3., -4.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn scale_rows(xs: &Tensor, factors: &Tensor) -> Result<Tensor> {
    let &[rows, ..] = xs.dims() else {
        return Err(shape_error(OP, "the input", xs, "[rows, ..]"));
    };
    check_shape(OP, "factors", factors, rows)?;
    if !runs_on_cpu(xs) || xs.elem_count() == 0 {
        return composed::scale_rows(xs, factors);
    }
    let size = xs.elem_count() / rows;
    many::apply(OP, &[xs, factors], xs.shape(), cpu::ScaleRows { size })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    #[test]
    fn it_agrees_with_candle_with_every_instruction_set() {
        for shape in [vec![5], vec![1, 1], vec![3, 129], vec![70, 2, 40]] {
            let x = [random(1, &shape), random(2, &shape[..1])];
            crate::cpu::at_each_level(|level| {
                assert_same(
                    &format!("scale_rows {shape:?} {level:?}"),
                    &x,
                    |x| scale_rows(&x[0], &x[1]),
                    |x| composed::scale_rows(&x[0], &x[1]),
                );
            });
        }
        let empty = scale_rows(&random(1, &[3, 0]), &random(2, &[3])).unwrap();
        assert_eq!(empty.dims(), [3, 0]);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let x = [random(1, &[3, 4]), random(2, &[3])];
        assert_gradients("scale_rows", &x, |x| scale_rows(&x[0], &x[1]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (xs, factors) = (random(1, &[3, 4]), random(2, &[4]));
        let error = scale_rows(&xs, &factors).unwrap_err().to_string();
        assert!(
            error.contains("factors has shape [4], expected [3]"),
            "{error}"
        );
        let scalar = factors.get(0).unwrap();
        let error = scale_rows(&scalar, &factors).unwrap_err().to_string();
        assert!(error.contains("expected [rows, ..]"), "{error}");
    }
}
