//! Products with a transposed matrix: `lhs · rhsᵀ`, where the rows of both are contiguous, as in the
//! forward pass of a linear layer.
//!
//! After Goto and van de Geijn, *Anatomy of High-Performance Matrix Multiplication* (2008),
//! <https://doi.org/10.1145/1356052.1356053>: the depth is cut into blocks; of each block the left
//! matrix is packed once, and every task packs its strip of the right one into the second-level
//! cache, where a panel of columns after the other meets all rows. What is summed in which order
//! depends on the depth alone, so that results do not depend on the number of threads.

mod tile;

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use self::tile::{VECTORS, tile};
use super::{Aligned, Lanes, Real, Registers, Rows, Threads, Write, dispatch, tile_rows};

/// The most of the depth that is summed before the sums go to the result.
const DEPTH: usize = 320;
/// Columns of a strip.
const STRIP: usize = 192;

/// A matrix whose rows are contiguous, `stride` apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) stride: usize,
}

/// A result that several tasks write to, each its own columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output<T> {
    pub(super) data: *mut T,
    pub(super) stride: usize,
}

// SAFETY: tasks write to different columns, and the borrow of the result outlives them all.
unsafe impl<T: Send> Send for Output<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Output<T> {}

/// The width of the panels of so many columns, as even as possible.
fn panel_width(columns: usize, lanes: usize) -> usize {
    let vectors = columns.div_ceil(lanes).max(1);
    vectors.div_ceil(vectors.div_ceil(VECTORS)) * lanes
}

/// Writes `lhs · rhsᵀ` to `out`, or adds it.
///
/// # Safety
/// `out` is valid for `lhs.rows` rows of `rhs.rows` numbers, for reading too if it is added to, and
/// overlaps neither matrix; both have rows of `depth` numbers.
pub(super) unsafe fn product<T: Real>(
    out: Output<T>,
    write: Write,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    depth: usize,
    threads: Threads,
) {
    let registers = Registers::of::<T>();
    let block = depth.div_ceil(depth.div_ceil(DEPTH));
    let blocks: Vec<Range<usize>> = (0..depth)
        .step_by(block)
        .map(|first| first..depth.min(first + block))
        .collect();
    let padded = lhs.rows.next_multiple_of(registers.rows);
    let mut packed = Aligned::new(padded * depth);
    let parts = packed.par_chunks_mut(padded * block).zip(&blocks);
    parts.for_each(|(packed, part)| {
        pack(
            lhs,
            0..lhs.rows,
            part,
            registers.rows,
            registers.rows,
            packed,
        );
    });
    let packed = &*packed;

    let widest = VECTORS * registers.lanes;
    let strip = match threads {
        Threads::One => STRIP,
        Threads::All => rhs.rows.div_ceil(2 * rayon::current_num_threads()),
    };
    let strip = strip.min(STRIP).next_multiple_of(widest);
    let task = |strip_index: usize| {
        let columns = strip_index * strip..rhs.rows.min((strip_index + 1) * strip);
        let width = panel_width(columns.len(), registers.lanes);
        let padded_columns = columns.len().next_multiple_of(registers.lanes);
        let mut own = Aligned::new(padded_columns * block);
        for (part, packed) in blocks.iter().zip(packed.chunks(padded * block)) {
            let own = &mut own[..padded_columns * part.len()];
            pack(rhs, columns.clone(), part, width, registers.lanes, own);
            dispatch(Strip {
                lhs: packed,
                rhs: own,
                depth: part.len(),
                rows: lhs.rows,
                columns: columns.clone(),
                width,
                out,
                write: if part.start == 0 { write } else { Write::Add },
            });
        }
    };
    let strips = rhs.rows.div_ceil(strip);
    match threads {
        Threads::One => (0..strips).for_each(task),
        Threads::All => (0..strips).into_par_iter().for_each(task),
    }
}

/// Packs part of some rows: panels of `width` rows, `[depth, width]` each; the last one as narrow as
/// it can be in multiples of `granule`, with zeros behind the last row.
fn pack<T: Real>(
    matrix: Matrix<'_, T>,
    rows: Range<usize>,
    part: &Range<usize>,
    width: usize,
    granule: usize,
    packed: &mut [T],
) {
    let mut rest = packed;
    for first in rows.clone().step_by(width) {
        let count = width.min(rows.end - first);
        let stride = count.next_multiple_of(granule);
        let (panel, others) = rest.split_at_mut(part.len() * stride);
        rest = others;
        if count < stride {
            panel.fill(T::zero());
        }
        let from = &matrix.data[first * matrix.stride + part.start..];
        assert!(from.len() >= (count - 1) * matrix.stride + part.len());
        let from = Rows {
            first: from.as_ptr(),
            stride: matrix.stride,
        };
        let to = Rows {
            first: panel.as_mut_ptr(),
            stride,
        };
        // SAFETY: `count` rows of the part, as asserted, and a panel for them.
        unsafe { T::transpose(from, (count, part.len()), to, Write::Replace) };
    }
}

/// All rows by some columns.
struct Strip<'a, T> {
    /// Panels of a tile's rows.
    lhs: &'a [T],
    /// Panels of `width` columns.
    rhs: &'a [T],
    depth: usize,
    rows: usize,
    columns: Range<usize>,
    width: usize,
    out: Output<T>,
    write: Write,
}

impl<T: Real> WithSimd for Strip<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if tile_rows::<S>() == 8 {
            self.run::<S, 8>(simd);
        } else {
            self.run::<S, 4>(simd);
        }
    }
}

impl<T: Real> Strip<'_, T> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(&self, simd: S) {
        let lanes = T::lanes::<S>();
        let mut rest = self.rhs;
        for first in self.columns.clone().step_by(self.width) {
            let columns = first..self.columns.end.min(first + self.width);
            let vectors = columns.len().div_ceil(lanes);
            let (panel, others) = rest.split_at(vectors * lanes * self.depth);
            rest = others;
            match vectors {
                1 => self.panel::<S, ROWS, 1>(simd, panel, columns),
                2 => self.panel::<S, ROWS, 2>(simd, panel, columns),
                _ => self.panel::<S, ROWS, VECTORS>(simd, panel, columns),
            }
        }
    }

    /// All rows by one panel of columns.
    #[inline(always)]
    fn panel<S: Simd, const ROWS: usize, const COUNT: usize>(
        &self,
        simd: S,
        panel: &[T],
        columns: Range<usize>,
    ) {
        let tiles = self.lhs.chunks_exact(ROWS * self.depth);
        for (lhs, first) in tiles.zip((0..self.rows).step_by(ROWS)) {
            // SAFETY: the panels hold `depth` times a tile's rows and columns.
            let sums = unsafe {
                tile::<T, S, ROWS, COUNT>(simd, lhs.as_ptr(), panel.as_ptr(), self.depth)
            };
            for (row, sums) in (first..self.rows).zip(sums) {
                // SAFETY: these columns of the row are this task's.
                unsafe {
                    let out = self.out.data.add(row * self.out.stride + columns.start);
                    self.store(simd, sums, out, columns.len());
                }
            }
        }
    }

    /// Writes the sums of a row to `count` columns.
    ///
    /// # Safety
    /// `out` is valid for them.
    #[inline(always)]
    unsafe fn store<S: Simd, const COUNT: usize>(
        &self,
        simd: S,
        sums: [T::Vector<S>; COUNT],
        out: *mut T,
        count: usize,
    ) {
        if count == COUNT * T::lanes::<S>() {
            let out = out.cast::<T::Vector<S>>();
            for (i, mut sum) in sums.into_iter().enumerate() {
                // SAFETY: all vectors are inside the columns.
                unsafe {
                    if self.write == Write::Add {
                        sum = <T as Lanes>::add(simd, out.add(i).read_unaligned(), sum);
                    }
                    out.add(i).write_unaligned(sum);
                }
            }
            return;
        }
        let sums = (&raw const sums).cast::<T>();
        for i in 0..count {
            // SAFETY: fewer columns than the vectors have elements.
            unsafe {
                let sum = *sums.add(i);
                *out.add(i) = match self.write {
                    Write::Replace => sum,
                    Write::Add => *out.add(i) + sum,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::at_each_level;

    /// Small whole numbers, whose products and sums are exact.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7 + seed) % 11) as f32 - 5.)
            .collect()
    }

    #[test]
    fn products_of_any_size_are_exact_on_integers() {
        at_each_level(|level| {
            for (rows, columns, depth) in [
                (1, 1, 1),
                (8, 48, 5),
                (9, 49, 321),
                (33, 16, 64),
                (7, 200, 700),
                (40, 97, 8),
            ] {
                let (lhs_stride, rhs_stride, out_stride) = (depth + 3, depth, columns + 2);
                let lhs = numbers(rows * lhs_stride, 1);
                let rhs = numbers(columns * rhs_stride, 2);
                for write in [Write::Replace, Write::Add] {
                    let mut out = vec![1.; rows * out_stride];
                    let matrix = |data, rows, stride| Matrix { data, rows, stride };
                    let output = Output {
                        data: out.as_mut_ptr(),
                        stride: out_stride,
                    };
                    let (left, right) = (
                        matrix(&lhs, rows, lhs_stride),
                        matrix(&rhs, columns, rhs_stride),
                    );
                    // SAFETY: the vector has room for all rows.
                    unsafe { product(output, write, left, right, depth, Threads::All) };
                    let before = if write == Write::Add { 1. } else { 0. };
                    for (i, &y) in out.iter().enumerate() {
                        let (row, column) = (i / out_stride, i % out_stride);
                        let expected = if column < columns {
                            let products = (0..depth)
                                .map(|k| lhs[row * lhs_stride + k] * rhs[column * rhs_stride + k]);
                            before + products.sum::<f32>()
                        } else {
                            1.
                        };
                        assert_eq!(y, expected, "{level:?} {rows} {columns} {depth} {write:?}");
                    }
                }
            }
        });
    }
}
