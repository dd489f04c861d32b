//! Transposed copies of matrices whose rows lie far apart.

/// What happens to the numbers a result holds before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Replace,
    Add,
}

/// A matrix inside some memory: where it begins, and how far apart its rows are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<P> {
    pub(crate) first: P,
    pub(crate) stride: usize,
}

/// Rows and columns of a block.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 8;

/// Writes the transpose of `rows` rows of `columns` numbers, or adds it.
///
/// # Safety
/// `from` is valid for reading that many numbers, `to` for writing them, and for reading them if
/// they are added; they do not overlap.
pub(super) unsafe fn transpose<T: Copy + std::ops::Add<Output = T>>(
    from: Rows<*const T>,
    (rows, columns): (usize, usize),
    to: Rows<*mut T>,
    write: Write,
) {
    for column in 0..columns {
        for row in 0..rows {
            // SAFETY: inside both matrices, for which the caller vouches.
            unsafe {
                let x = *from.first.add(row * from.stride + column);
                let y = to.first.add(column * to.stride + row);
                *y = match write {
                    Write::Replace => x,
                    Write::Add => *y + x,
                };
            }
        }
    }
}

/// [`transpose`], in blocks of eight by eight where the processor has AVX.
///
/// # Safety
/// As there.
pub(super) unsafe fn transpose_f32(
    from: Rows<*const f32>,
    (rows, columns): (usize, usize),
    to: Rows<*mut f32>,
    write: Write,
) {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_mut, reason = "there are no blocks")
    )]
    let (mut whole_rows, mut whole_columns) = (0, 0);
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx") {
        (whole_rows, whole_columns) = (rows / BLOCK * BLOCK, columns / BLOCK * BLOCK);
        // SAFETY: the processor has AVX, and the blocks lie inside both matrices.
        unsafe { avx::blocks(from, (whole_rows, whole_columns), to, write) };
    }
    // SAFETY: parts of both matrices.
    unsafe {
        let below = Rows {
            first: from.first.add(whole_rows * from.stride),
            ..from
        };
        let beside = Rows {
            first: to.first.add(whole_rows),
            ..to
        };
        transpose(below, (rows - whole_rows, whole_columns), beside, write);
        let beside = Rows {
            first: from.first.add(whole_columns),
            ..from
        };
        let below = Rows {
            first: to.first.add(whole_columns * to.stride),
            ..to
        };
        transpose(beside, (rows, columns - whole_columns), below, write);
    }
}

#[cfg(target_arch = "x86_64")]
mod avx {
    use std::arch::x86_64::{
        __m256, _mm256_add_ps, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps,
        _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };

    use super::{BLOCK, Rows, Write};

    /// Transposes blocks of eight by eight.
    ///
    /// # Safety
    /// As of [`transpose`](super::transpose); rows and columns are multiples of eight.
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn blocks(
        from: Rows<*const f32>,
        (rows, columns): (usize, usize),
        to: Rows<*mut f32>,
        write: Write,
    ) {
        for column in (0..columns).step_by(BLOCK) {
            for row in (0..rows).step_by(BLOCK) {
                // SAFETY: the block lies inside both matrices.
                unsafe {
                    let first = from.first.add(row * from.stride + column);
                    let block =
                        std::array::from_fn(|i| _mm256_loadu_ps(first.add(i * from.stride)));
                    let first = to.first.add(column * to.stride + row);
                    for (i, row) in transposed(block).into_iter().enumerate() {
                        let to = first.add(i * to.stride);
                        let row = match write {
                            Write::Replace => row,
                            Write::Add => _mm256_add_ps(_mm256_loadu_ps(to), row),
                        };
                        _mm256_storeu_ps(to, row);
                    }
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx")]
    fn transposed(rows: [__m256; BLOCK]) -> [__m256; BLOCK] {
        let mut pairs = rows;
        for i in (0..BLOCK).step_by(2) {
            pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
            pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
        }
        let mut fours = rows;
        for half in [0, 4] {
            for i in 0..2 {
                let (a, b) = (pairs[half + i], pairs[half + i + 2]);
                fours[half + 2 * i] = _mm256_shuffle_ps::<0x44>(a, b);
                fours[half + 2 * i + 1] = _mm256_shuffle_ps::<0xee>(a, b);
            }
        }
        let mut eights = rows;
        for i in 0..4 {
            eights[i] = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
            eights[i + 4] = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
        }
        eights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_is_transposed_or_added() {
        const STRIDE: usize = 40;
        let from: Vec<f32> = (0..STRIDE * STRIDE).map(|i| i as f32).collect();
        for rows in [0, 1, 7, 8, 9, 24, 33] {
            for columns in [0, 1, 5, 8, 16, 21] {
                for write in [Write::Replace, Write::Add] {
                    let mut to = vec![0.5; STRIDE * STRIDE];
                    let from_rows = Rows {
                        first: from.as_ptr(),
                        stride: STRIDE,
                    };
                    let to_rows = Rows {
                        first: to.as_mut_ptr(),
                        stride: STRIDE,
                    };
                    // SAFETY: at most 33 rows and columns of 40.
                    unsafe { transpose_f32(from_rows, (rows, columns), to_rows, write) };
                    for (i, &y) in to.iter().enumerate() {
                        let (column, row) = (i / STRIDE, i % STRIDE);
                        let before = if write == Write::Add { 0.5 } else { 0. };
                        let expected = if row < rows && column < columns {
                            from[row * STRIDE + column] + before
                        } else {
                            0.5
                        };
                        assert_eq!(y, expected, "{rows} {columns} {write:?} {row} {column}");
                    }
                }
            }
        }
    }
}
