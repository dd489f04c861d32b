use super::product::{Contiguous, Job, Operand, Order, UNITS};
use super::{Real, Rows, Shared, Write, unwritten};
use crate::Precision;

/// A read-only matrix inside a slice, of whose strides one is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row after row, `row_stride` apart.
    pub(crate) fn strided(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// Row after row without gaps.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// The transpose, of the same elements.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to write to, row after row, `row_stride` apart.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a, T> {
    pub(crate) data: &'a mut [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// Row after row without gaps.
    pub(crate) fn new(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
        }
    }
}

/// Who computes a matrix product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread, itself one of several.
    One,
    /// All of rayon's threads.
    All,
}

impl Threads {
    /// How each of `tasks` parallel tasks should compute its products.
    pub(crate) fn inside(tasks: usize) -> Self {
        if tasks >= rayon::current_num_threads() {
            Self::One
        } else {
            Self::All
        }
    }

    /// For a product of so many multiplications: small ones are done before another thread has woken
    /// up.
    pub(crate) fn for_product(multiplications: usize) -> Self {
        if multiplications < 1 << 20 {
            Self::One
        } else {
            Self::All
        }
    }
}

/// How a product is computed, beside its matrices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product<'a, T> {
    pub(crate) threads: Threads,
    pub(crate) precision: Precision,
    /// Added to every row of the result.
    pub(crate) bias: Option<&'a [T]>,
}

impl<T> From<Threads> for Product<'_, T> {
    fn from(threads: Threads) -> Self {
        Self {
            threads,
            precision: Precision::Full,
            bias: None,
        }
    }
}

/// The index after the last element that a matrix touches.
fn end(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    match (rows, columns) {
        (0, _) | (_, 0) => 0,
        _ => (rows - 1) * row_stride + (columns - 1) * column_stride + 1,
    }
}

/// `out = lhs · rhs`, or `out += lhs · rhs`.
///
/// # Panics
/// When shapes do not fit or a matrix reaches beyond its slice: a mistake of the calling kernel.
pub(crate) fn gemm<T: Real>(
    out: &mut MatrixMut<'_, T>,
    write: Write,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    how: Product<'_, T>,
) {
    assert_eq!((out.rows, out.columns), (lhs.rows, rhs.columns));
    assert!(end(out.rows, out.columns, out.row_stride, 1) <= out.data.len());
    let out = Rows {
        first: Shared(out.data.as_mut_ptr()),
        stride: out.row_stride,
    };
    // SAFETY: every element of `out` lies inside its slice, as asserted, which is borrowed mutably.
    unsafe { gemm_shared(out, write, lhs, rhs, how) };
}

/// [`gemm`] to a part of a matrix of which others write other parts.
///
/// # Safety
/// `out` is valid for as many rows as `lhs` has and as many columns as `rhs`, for reading too if it is
/// added to; nobody else uses these elements, and neither operand contains them.
///
/// # Panics
/// As there.
pub(crate) unsafe fn gemm_shared<T: Real>(
    out: Rows<Shared<T>>,
    write: Write,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    how: Product<'_, T>,
) {
    assert_eq!(lhs.columns, rhs.rows);
    assert!(how.bias.is_none_or(|bias| bias.len() == rhs.columns));
    for m in [lhs, rhs] {
        assert!(end(m.rows, m.columns, m.row_stride, m.column_stride) <= m.data.len());
    }
    let (depth, left, right) = (lhs.columns, lhs.operand(), rhs.t().operand());
    let straight = overhead(left, right, depth, Order::Rows);
    let turned = overhead(right, left, depth, Order::Columns);
    let (rows, columns, order) = if straight <= turned {
        (left, right, Order::Rows)
    } else {
        (right, left, Order::Columns)
    };
    let job = Job {
        rows,
        columns,
        depth,
        out,
        order,
        write,
        bias: how.bias,
    };
    // SAFETY: both operands lie inside their slices, as asserted above; the caller vouches for `out`.
    unsafe { T::multiply(job, how.threads, how.precision) };
}

/// `lhs · rhs`, row after row, in memory that is written once.
///
/// # Panics
/// As [`gemm`].
pub(crate) fn gemm_new<T: Real>(
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    how: Product<'_, T>,
) -> Vec<T> {
    // SAFETY: the product writes every element, and reads none.
    let mut out = unsafe { unwritten(lhs.rows * rhs.columns) };
    let mut result = MatrixMut::new(&mut out, lhs.rows, rhs.columns);
    gemm(&mut result, Write::Replace, lhs, rhs, how);
    out
}

impl<'a, T> Matrix<'a, T> {
    /// The lines along the columns' number: the rows.
    fn operand(self) -> Operand<T> {
        let (contiguous, stride) = match (self.row_stride, self.column_stride) {
            (stride, 1) => (Contiguous::Depth, stride),
            (1, stride) => (Contiguous::Lines, stride),
            strides => unreachable!("a matrix with strides {strides:?}"),
        };
        Operand {
            data: self.data.as_ptr(),
            lines: self.rows,
            contiguous,
            stride,
        }
    }
}

/// What it costs to pack the columns of a job, to pack its rows if they have to be, and to write its
/// result column after column, in copied numbers.
fn overhead<T>(rows: Operand<T>, columns: Operand<T>, depth: usize, order: Order) -> usize {
    let packed = |operand: Operand<T>, along_depth: usize| match operand.contiguous {
        Contiguous::Depth => along_depth * operand.lines * depth,
        Contiguous::Lines => operand.lines * depth,
    };
    let written = match order {
        Order::Rows => 0,
        Order::Columns => rows.lines * columns.lines * depth.div_ceil(UNITS),
    };
    packed(columns, 3) + packed(rows, 0) + written
}
