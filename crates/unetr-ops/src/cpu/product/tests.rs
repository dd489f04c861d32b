use super::super::{Matrix, MatrixMut, Product, Threads, Write, at_each_level, gemm};
use crate::Precision;

/// Small whole numbers, which bfloat16 has too, and whose products and sums are exact.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7 + seed) % 11) as f32 - 5.)
        .collect()
}

/// A matrix and its elements, row after row or column after column.
fn matrix(data: &[f32], rows: usize, columns: usize, by_rows: bool) -> Matrix<'_, f32> {
    if by_rows {
        Matrix::strided(data, rows, columns, columns + 3)
    } else {
        Matrix::strided(data, columns, rows, rows + 1).t()
    }
}

fn at(matrix: &Matrix<'_, f32>, row: usize, column: usize) -> f32 {
    matrix.data[row * matrix.row_stride + column * matrix.column_stride]
}

#[test]
fn products_of_any_size_are_exact_on_integers() {
    const SIZES: [(usize, usize, usize); 10] = [
        (1, 1, 1),
        (2, 3, 0),
        (8, 48, 5),
        (9, 49, 321),
        (33, 16, 64),
        (7, 200, 1030),
        (40, 97, 8),
        (64, 5, 33),
        (300, 20, 17),
        (20, 300, 2),
    ];
    let data = (numbers(1 << 19, 1), numbers(1 << 19, 2));
    at_each_level(|level| {
        for (rows, columns, depth) in SIZES {
            for case in 0..32 {
                let is = |bit: usize| case & (1 << bit) != 0;
                let lhs = matrix(&data.0, rows, depth, is(0));
                let rhs = matrix(&data.1, depth, columns, is(1));
                let bias = is(2).then(|| numbers(columns, 3));
                let (write, before) = match is(3) {
                    true => (Write::Add, 1.),
                    false => (Write::Replace, 0.),
                };
                let how = Product {
                    bias: bias.as_deref(),
                    precision: [Precision::Full, Precision::Bf16][usize::from(is(4))],
                    ..Threads::One.into()
                };
                let stride = columns + 2;
                let mut out = vec![1.; rows * stride];
                let mut result = MatrixMut {
                    data: &mut out,
                    rows,
                    columns,
                    row_stride: stride,
                };
                gemm(&mut result, write, lhs, rhs, how);
                for (i, &y) in out.iter().enumerate() {
                    let (row, column) = (i / stride, i % stride);
                    let expected = if column < columns {
                        let products = (0..depth).map(|k| at(&lhs, row, k) * at(&rhs, k, column));
                        let bias = bias.as_ref().map_or(0., |bias| bias[column]);
                        before + bias + products.sum::<f32>()
                    } else {
                        1.
                    };
                    let what = format!("{level:?} {rows} {columns} {depth} {case:b}");
                    assert_eq!(y, expected, "{what} at {row}, {column}");
                }
            }
        }
    });
}

#[test]
fn threads_change_nothing() {
    let numbers = |seed: usize| -> Vec<f32> {
        let noise = |i: usize| ((i * 7919 + seed) % 1013) as f32 / 507. - 1.;
        (0..1000 * 1600).map(noise).collect()
    };
    let (left, right) = (numbers(1), numbers(2));
    // The last one adds to its sums, as its depth is that of several blocks.
    for (rows, columns, depth) in [(257, 130, 600), (50, 700, 64), (700, 1000, 1600)] {
        for precision in [Precision::Full, Precision::Bf16] {
            let product = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let how = Product {
                    precision,
                    ..Threads::All.into()
                };
                let lhs = Matrix::new(&left, rows, depth);
                let rhs = Matrix::new(&right, columns, depth).t();
                let compute = || super::super::gemm_new(lhs, rhs, how);
                pool.build().map(|pool| pool.install(compute)).ok()
            };
            let one = product(1);
            assert!(one.is_some());
            for threads in [2, 5, 8] {
                assert_eq!(one, product(threads), "{threads} threads");
            }
        }
    }
}
