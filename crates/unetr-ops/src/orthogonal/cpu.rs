use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{EPS, QUINTIC};
use crate::cpu::{
    Aligned, Matrix, MatrixMut, Product, Real, Threads, Write, for_real, gemm, with_elements,
};
use crate::precision;

pub(super) fn orthogonal(matrices: &Tensor, iterations: usize) -> Result<Tensor> {
    let (count, rows, columns) = matrices.dims3()?;
    let matrices = matrices.detach().contiguous()?;
    for_real!(matrices, T => {
        let mut found: Vec<T> = with_elements(&matrices, |xs: &[T]| xs.to_vec())?;
        let how = Product {
            precision: precision::current(),
            ..Threads::inside(count).into()
        };
        if !found.is_empty() {
            found
                .par_chunks_mut(rows * columns)
                .for_each(|xs| iterate(xs, [rows, columns], iterations, how));
        }
        Tensor::from_vec(found, matrices.shape(), matrices.device())
    })
}

/// One matrix, in place.
fn iterate<T: Real>(
    xs: &mut [T],
    [rows, columns]: [usize; 2],
    iterations: usize,
    how: Product<'_, T>,
) {
    let squares: f64 = xs.iter().map(|x| x.f64() * x.f64()).sum();
    let factor = T::of(1. / (squares.sqrt() + EPS));
    xs.iter_mut().for_each(|x| *x *= factor);
    let (is_tall, side) = (rows > columns, rows.min(columns));
    let [a, b, c] = QUINTIC.map(T::of);
    let (mut gram, mut polynomial) = (Aligned::new(side * side), Aligned::new(side * side));
    let mut next = Aligned::new(xs.len());
    for _ in 0..iterations {
        // The smaller of `X Xᵀ` and `Xᵀ X`, and `a + b G + c G²` of it.
        let matrix = Matrix::new(xs, rows, columns);
        let wide = if is_tall { matrix.t() } else { matrix };
        times_own_transpose(wide, &mut gram, how);
        // The Gram matrix is symmetric: its square is it times its transpose.
        times_own_transpose(Matrix::new(&gram, side, side), &mut polynomial, how);
        for (y, &x) in polynomial.iter_mut().zip(gram.iter()) {
            *y = c * *y + b * x;
        }
        polynomial
            .iter_mut()
            .step_by(side + 1)
            .for_each(|y| *y += a);
        let polynomial = Matrix::new(&polynomial, side, side);
        let mut out = MatrixMut::new(&mut next, rows, columns);
        match is_tall {
            true => gemm(&mut out, Write::Replace, matrix, polynomial, how),
            false => gemm(&mut out, Write::Replace, polynomial, matrix, how),
        }
        xs.copy_from_slice(&next);
    }
}

/// Rows of a product that are computed at a time.
const BAND: usize = 64;

/// `M Mᵀ`, which is symmetric: of every band of rows the columns from its own on are computed, and those
/// before them mirrored.
fn times_own_transpose<T: Real>(matrix: Matrix<'_, T>, out: &mut [T], how: Product<'_, T>) {
    let side = matrix.rows;
    for first in (0..side).step_by(BAND) {
        let band = BAND.min(side - first);
        let rest = Matrix {
            data: &matrix.data[first * matrix.row_stride..],
            rows: side - first,
            ..matrix
        };
        let mut to = MatrixMut {
            data: &mut out[first * (side + 1)..],
            rows: band,
            columns: side - first,
            row_stride: side,
        };
        let rows = Matrix { rows: band, ..rest };
        gemm(&mut to, Write::Replace, rows, rest.t(), how);
    }
    for row in 1..side {
        for column in 0..row / BAND * BAND {
            out[row * side + column] = out[column * side + row];
        }
    }
}
