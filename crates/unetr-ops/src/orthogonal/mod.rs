//! The orthogonal matrices next to others.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::error::shape_error;

const OP: &str = "orthogonal";

/// The factors of the quintic iteration: they raise small singular values fastest, and bring all of them
/// to about 0.7 to 1.2.
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// Added to the length that a matrix is divided by, which may be 0.
const EPS: f64 = 1e-7;

/// The orthogonal matrices next to `matrices`, nearly: of `U S Vᵀ` about `U Vᵀ`, with singular values of 0.7 to
/// 1.2, by `iterations` of a Newton-Schulz iteration that needs no decomposition. Not differentiable.
///
/// On the CPU many matrices at once keep all threads busy. A GPU iterates in bf16 as PyTorch does.
///
/// Source: Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>
///
/// # Shapes
/// - `matrices`: `[matrices, rows, columns]`
/// - returns: likewise
///
/// # Errors
/// When `matrices` has another number of dimensions.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
///
/// let matrix = Tensor::new(&[[[3f64, 0.], [0., -0.5]]], &Device::Cpu)?;
/// let found = unetr_ops::orthogonal(&matrix, 5)?.squeeze(0)?.to_vec2::<f64>()?;
/// assert!((found[0][0] - 1.).abs() < 0.35 && (found[1][1] + 1.).abs() < 0.35);
/// assert_eq!((found[0][1], found[1][0]), (0., 0.));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn orthogonal(matrices: &Tensor, iterations: usize) -> Result<Tensor> {
    if matrices.rank() != 3 {
        let expected = "[matrices, rows, columns]";
        return Err(shape_error(OP, "the input", matrices, expected));
    }
    if runs_on_cpu(matrices) {
        return cpu::orthogonal(matrices, iterations);
    }
    composed::orthogonal(&matrices.detach(), iterations)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::check::{assert_close, random};

    #[test]
    fn the_kernel_agrees_with_candle() {
        for shape in [
            [1, 16, 40],
            [3, 40, 16],
            [2, 24, 24],
            [5, 1, 3],
            [1, 130, 70],
            [2, 150, 170],
        ] {
            let xs = random(1, &shape);
            let found = orthogonal(&xs, 5).unwrap();
            assert_close(
                "orthogonal",
                &found,
                &composed::orthogonal(&xs, 5).unwrap(),
                1e-12,
            );
        }
        let turned = random(2, &[2, 30, 20]).transpose(1, 2).unwrap();
        let found = orthogonal(&turned, 5).unwrap();
        let expected = orthogonal(&turned.contiguous().unwrap(), 5).unwrap();
        assert_close("of a view", &found, &expected, 0.);
    }

    /// The squares of the singular values of `[rows, columns]`, the eigenvalues of its Gram matrix, by
    /// Jacobi's rotations.
    fn squared_singular_values(matrix: &Tensor) -> Vec<f64> {
        let gram = matrix.matmul(&matrix.t().unwrap()).unwrap();
        let mut a: Vec<Vec<f64>> = gram.to_vec2().unwrap();
        let n = a.len();
        for _ in 0..30 {
            for p in 0..n {
                for q in p + 1..n {
                    let angle = 0.5 * (2. * a[p][q]).atan2(a[p][p] - a[q][q]);
                    let (sin, cos) = angle.sin_cos();
                    for row in &mut a {
                        let (x, y) = (row[p], row[q]);
                        (row[p], row[q]) = (cos * x + sin * y, cos * y - sin * x);
                    }
                    let (xs, ys) = (a[p].clone(), a[q].clone());
                    let turned = |f: fn(f64, f64, f64, f64) -> f64| {
                        let pairs = xs.iter().zip(&ys);
                        pairs.map(|(&x, &y)| f(cos, sin, x, y)).collect()
                    };
                    a[p] = turned(|cos, sin, x, y| cos * x + sin * y);
                    a[q] = turned(|cos, sin, x, y| cos * y - sin * x);
                }
            }
        }
        (0..n).map(|i| a[i][i]).collect()
    }

    #[test]
    fn singular_values_are_near_one_and_directions_stay() {
        for (rows, columns) in [(16, 40), (40, 16), (24, 24)] {
            let xs = random(3, &[2, rows, columns]);
            let ys = orthogonal(&xs, 5).unwrap();
            for i in 0..2 {
                let wide = |m: &Tensor| match rows > columns {
                    true => m.get(i).unwrap().t().unwrap(),
                    false => m.get(i).unwrap(),
                };
                let (x, y) = (wide(&xs), wide(&ys));
                let values = squared_singular_values(&y);
                let least = values.iter().copied().fold(f64::MAX, f64::min);
                let most = values.iter().copied().fold(0., f64::max);
                assert!(
                    least > 0.3 && most < 1.5,
                    "{rows}x{columns}: {least} {most}"
                );
                // Y Xᵀ is symmetric where Y = U f(S) Vᵀ and X = U S Vᵀ.
                let product = y.matmul(&x.t().unwrap()).unwrap();
                assert_close("symmetric", &product, &product.t().unwrap(), 1e-9);
            }
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        let zeros = Tensor::zeros((1, 16, 16), DType::F32, &Device::Cpu).unwrap();
        let found = orthogonal(&zeros, 5).unwrap().flatten_all().unwrap();
        assert_eq!(found.to_vec1::<f32>().unwrap(), [0.; 256]);
    }

    #[test]
    fn threads_change_no_bit() {
        let xs = random(4, &[3, 70, 50]).to_dtype(DType::F32).unwrap();
        let [one, two] = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let found = pool.build().unwrap().install(|| orthogonal(&xs, 5));
            let found = found.unwrap().flatten_all().unwrap();
            found.to_vec1::<f32>().unwrap()
        });
        assert_eq!(one, two);
    }

    #[test]
    fn one_matrix_alone_is_refused() {
        let error = orthogonal(&random(1, &[4, 4]), 5).unwrap_err();
        assert!(error.to_string().contains("[4, 4]"), "{error}");
    }
}
