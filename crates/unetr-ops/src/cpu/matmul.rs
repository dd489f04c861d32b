use super::{Real, Write, packed};

/// A read-only matrix inside a slice, with any strides.
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
    threads: Threads,
) {
    assert_eq!((out.rows, out.columns), (lhs.rows, rhs.columns));
    assert!(end(out.rows, out.columns, out.row_stride, 1) <= out.data.len());
    // SAFETY: every element of `out` lies inside its slice, as asserted above, and it is borrowed
    // mutably, so that it overlaps neither of the others.
    unsafe {
        product(
            out.data.as_mut_ptr(),
            out.row_stride,
            write,
            lhs,
            rhs,
            threads,
        );
    }
}

/// `lhs · rhs`, row after row, in memory that is written once.
///
/// # Panics
/// As [`gemm`].
pub(crate) fn gemm_new<T: Real>(
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    threads: Threads,
) -> Vec<T> {
    let len = lhs.rows * rhs.columns;
    if lhs.columns == 0 {
        return vec![T::zero(); len];
    }
    let mut out = Vec::with_capacity(len);
    // SAFETY: the vector has room for all elements of the product, of which there is at least one
    // term each: all are written and none is read before.
    unsafe {
        product(
            out.as_mut_ptr(),
            rhs.columns,
            Write::Replace,
            lhs,
            rhs,
            threads,
        );
        out.set_len(len);
    }
    out
}

/// Rows that make it worth to pack the right matrix.
const ROWS: usize = 32;

/// Whether the rows of `lhs` and the columns of `rhs` are contiguous, and not too few.
fn packed_is_faster<T: Real>(lhs: Matrix<'_, T>, rhs: Matrix<'_, T>) -> bool {
    (lhs.column_stride, rhs.row_stride) == (1, 1)
        && rhs.column_stride != 1
        && lhs.rows >= ROWS
        && rhs.columns >= ROWS
        && lhs.columns > 0
}

fn rows_of<T: Real>(matrix: Matrix<'_, T>) -> packed::Matrix<'_, T> {
    packed::Matrix {
        data: matrix.data,
        rows: matrix.rows,
        stride: matrix.row_stride,
    }
}

/// Writes the product, or adds it, to rows `row_stride` apart.
///
/// # Safety
/// `out` is valid for `lhs.rows` such rows of `rhs.columns` elements, for reading too if it
/// is added to, and overlaps neither matrix.
unsafe fn product<T: Real>(
    out: *mut T,
    row_stride: usize,
    write: Write,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    threads: Threads,
) {
    assert_eq!(lhs.columns, rhs.rows);
    for m in [lhs, rhs] {
        assert!(end(m.rows, m.columns, m.row_stride, m.column_stride) <= m.data.len());
    }
    if packed_is_faster(lhs, rhs) {
        let (left, right) = (rows_of(lhs), rows_of(rhs.t()));
        let out = packed::Output {
            data: out,
            stride: row_stride,
        };
        // SAFETY: the caller vouches for `out`.
        unsafe { packed::product(out, write, left, right, lhs.columns, threads) };
        return;
    }
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: the caller vouches for `out`; every element that the other two address lies inside its
    // slice, as asserted above. `Real` is implemented for f32 and f64 alone, both of which `gemm`
    // supports.
    unsafe {
        gemm::gemm(
            lhs.rows,
            rhs.columns,
            lhs.columns,
            out,
            1,
            row_stride as isize,
            write == Write::Add,
            lhs.data.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
}
