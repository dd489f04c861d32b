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
        let mut out = MatrixMut::new(&mut gram, side, side);
        match is_tall {
            true => gemm(&mut out, Write::Replace, matrix.t(), matrix, how),
            false => gemm(&mut out, Write::Replace, matrix, matrix.t(), how),
        }
        let square = Matrix::new(&gram, side, side);
        let mut out = MatrixMut::new(&mut polynomial, side, side);
        gemm(&mut out, Write::Replace, square, square, how);
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
