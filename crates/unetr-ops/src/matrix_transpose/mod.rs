//! Transposed matrices.

mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::error::shape_error;
use crate::many;

const OP: &str = "matrix_transpose";

/// Exchanges the last two dimensions and lays the result out anew, from tokens to planes or back.
///
/// # Shapes
/// - `xs`: `[.., rows, columns]`
/// - returns: `[.., columns, rows]`, contiguous
///
/// # Errors
/// When `xs` has fewer than two dimensions.
pub(crate) fn matrix_transpose(xs: &Tensor) -> Result<Tensor> {
    let &[ref batch @ .., rows, columns] = xs.dims() else {
        return Err(shape_error(OP, "the input", xs, "[.., rows, columns]"));
    };
    if !runs_on_cpu(xs) || xs.elem_count() == 0 {
        return xs.t()?.contiguous();
    }
    let shape = [batch, &[columns, rows]].concat();
    many::apply(OP, &[xs], shape, cpu::Matrices { rows, columns })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    #[test]
    fn it_agrees_with_candle() {
        for shape in [vec![1, 1], vec![5, 3], vec![2, 70, 33], vec![2, 1, 40, 129]] {
            let xs = random(1, &shape);
            let what = format!("matrix_transpose {shape:?}");
            assert_same(
                &what,
                &[xs],
                |x| matrix_transpose(&x[0]),
                |x| x[0].t()?.contiguous(),
            );
        }
        let empty = random(1, &[2, 0, 3]);
        assert_eq!(matrix_transpose(&empty).unwrap().dims(), [2, 3, 0]);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        assert_gradients("matrix_transpose", &[random(1, &[2, 3, 4])], |x| {
            matrix_transpose(&x[0])
        });
    }

    #[test]
    fn a_vector_is_refused() {
        let error = matrix_transpose(&random(1, &[3])).unwrap_err().to_string();
        assert!(error.contains("expected [.., rows, columns]"), "{error}");
    }
}
