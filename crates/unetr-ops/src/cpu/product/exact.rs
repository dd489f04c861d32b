//! Products of numbers as they are.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::format::{Format, Lines, Tile, VECTORS};
use super::operand::{Contiguous, Operand};
use crate::cpu::{
    Lanes, Real, Registers, Rows, Write, dispatch, tile_rows, tile_vectors, vectorised,
};

/// Rows of a product's tile where there are 16 registers: more sums than the 8 multiply-adds that are on
/// their way, so that none waits when a load comes late. Tiles of convolutions have [`tile_rows`] there,
/// as their channels are multiples of 4 rather than of 6.
const ROWS_IN_16_REGISTERS: usize = 6;

/// Units of the depth in a turn of the loop: the fewer instructions that do not multiply, the less is lost
/// when another thread of the same core takes its share of them.
const UNROLLED: usize = 4;

#[derive(Debug)]
pub(crate) struct Exact;

impl<T: Real> Format<T> for Exact {
    type Session = ();

    const NUMBERS: usize = 1;

    fn registers() -> Registers {
        let registers = Registers::of::<T>();
        Registers {
            rows: registers.rows.max(ROWS_IN_16_REGISTERS),
            ..registers
        }
    }

    unsafe fn begin() {}

    unsafe fn pack(
        from: &Operand<T>,
        lines: Range<usize>,
        depth: Range<usize>,
        width: usize,
        to: *mut T,
    ) {
        let count = lines.len();
        // SAFETY: the caller vouches for all of it.
        unsafe {
            let first = from.at(lines.start, depth.start);
            if count < width {
                std::slice::from_raw_parts_mut(to, width * depth.len()).fill(T::zero());
            }
            let from_rows = Rows {
                first,
                stride: from.stride,
            };
            let to = Rows {
                first: to,
                stride: width,
            };
            match from.contiguous {
                Contiguous::Depth => {
                    T::transpose(from_rows, (count, depth.len()), to, Write::Replace);
                }
                Contiguous::Lines => copy(from_rows, (depth.len(), count), to),
            }
        }
    }

    unsafe fn lines(
        from: &Operand<T>,
        lines: Range<usize>,
        depth: Range<usize>,
        _: *mut T,
    ) -> Lines<T> {
        Lines {
            // SAFETY: the caller vouches for it.
            first: unsafe { from.at(lines.start, depth.start) },
            stride: from.stride,
            step: 1,
            count: lines.len(),
        }
    }

    unsafe fn tile(tile: Tile<T>) {
        dispatch(tile);
    }
}

/// The products of a tile's rows, `[depth, rows]` with a stride, with a panel of so many vectors,
/// `[depth, width]`, as `[rows, width]`; inside a kernel for `simd`.
#[inline(always)]
pub(crate) fn tile<T: Real, S: Simd>(
    simd: S,
    rows: Rows<&[T]>,
    panel: &[T],
    depth: usize,
    vectors: usize,
    products: &mut [T],
    write: Write,
) {
    let height = tile_rows::<S>();
    let width = vectors * T::lanes::<S>();
    assert!((1..=tile_vectors::<S>()).contains(&vectors));
    assert!(rows.first.len() >= depth.saturating_sub(1) * rows.stride + height);
    assert!(panel.len() >= depth * width && products.len() >= height * width);
    let tile = Tile {
        lines: Lines {
            step: rows.stride,
            ..Lines::packed(rows.first, height)
        },
        panel: panel.as_ptr(),
        units: depth,
        vectors,
        out: Rows {
            first: products.as_mut_ptr(),
            stride: width,
        },
        write,
    };
    // SAFETY: rows, panel and products are as large as asserted.
    unsafe {
        if height == 8 {
            tile.run::<S, 8, true>(simd);
        } else {
            tile.run::<S, 4, true>(simd);
        }
    }
}

/// Copies rows.
///
/// # Safety
/// `from` is valid for reading so many rows and columns, `to` for writing them.
unsafe fn copy<T: Real>(from: Rows<*const T>, (rows, columns): (usize, usize), to: Rows<*mut T>) {
    #[inline(always)]
    unsafe fn copy_fixed<T: Real, const COLUMNS: usize>(
        from: Rows<*const T>,
        rows: usize,
        to: Rows<*mut T>,
    ) {
        for row in 0..rows {
            // SAFETY: the caller vouches for it.
            unsafe {
                let from = from.first.add(row * from.stride).cast::<[T; COLUMNS]>();
                let to = to.first.add(row * to.stride).cast::<[T; COLUMNS]>();
                to.write_unaligned(from.read_unaligned());
            }
        }
    }
    // SAFETY: the caller vouches for it.
    vectorised!(unsafe {
        match columns {
            4 => copy_fixed::<T, 4>(from, rows, to),
            6 => copy_fixed::<T, 6>(from, rows, to),
            8 => copy_fixed::<T, 8>(from, rows, to),
            16 => copy_fixed::<T, 16>(from, rows, to),
            24 => copy_fixed::<T, 24>(from, rows, to),
            32 => copy_fixed::<T, 32>(from, rows, to),
            48 => copy_fixed::<T, 48>(from, rows, to),
            _ => {
                for row in 0..rows {
                    let from = from.first.add(row * from.stride);
                    let to = to.first.add(row * to.stride);
                    std::ptr::copy_nonoverlapping(from, to, columns);
                }
            }
        }
    });
}

impl<T: Real> WithSimd for Tile<T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Operands that are contiguous along the depth are taken as they lie.
        let packed = self.lines.step > 1;
        // SAFETY: as the caller of `Format::tile` vouches, where alone a tile is dispatched.
        unsafe {
            match (tile_rows::<S>(), packed) {
                (8, true) => self.run::<S, 8, true>(simd),
                (8, false) => self.run::<S, 8, false>(simd),
                (_, true) => self.run::<S, ROWS_IN_16_REGISTERS, true>(simd),
                (_, false) => self.run::<S, ROWS_IN_16_REGISTERS, false>(simd),
            }
        }
    }
}

impl<T: Real> Tile<T> {
    /// # Safety
    /// As of [`Format::tile`], for so many rows.
    #[inline(always)]
    unsafe fn run<S: Simd, const ROWS: usize, const PACKED: bool>(self, simd: S) {
        // SAFETY: as the caller vouches.
        unsafe {
            match self.vectors {
                1 => self.multiply::<S, ROWS, PACKED, 1>(simd),
                // As `tile_vectors` says, which knows the registers.
                VECTORS if ROWS == 8 => self.multiply::<S, ROWS, PACKED, VECTORS>(simd),
                _ => self.multiply::<S, ROWS, PACKED, 2>(simd),
            }
        }
    }

    /// Of packed lines a unit's numbers lie side by side, others are contiguous along the depth: either
    /// way one address changes from unit to unit, and all others are at distances from it that do not.
    ///
    /// # Safety
    /// As of [`Format::tile`], for so many rows and a panel of so many vectors.
    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize, const PACKED: bool, const COUNT: usize>(
        self,
        simd: S,
    ) {
        let Lines {
            mut first,
            stride,
            step,
            count,
        } = self.lines;
        let (step, stride) = if PACKED { (step, 1) } else { (1, stride) };
        let rows: [usize; ROWS] = std::array::from_fn(|row| {
            let row = if PACKED { row } else { row.min(count - 1) };
            row * stride
        });
        let mut panel = self.panel.cast::<[T::Vector<S>; COUNT]>();
        let mut sums = [[T::splat(simd, T::zero()); COUNT]; ROWS];
        // SAFETY: rows, panel and `out` are as large as the caller vouches, and packed lines are as many as the rows.
        unsafe {
            let mut multiply_unit = || {
                let columns = panel.read_unaligned();
                panel = panel.add(1);
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let x = T::splat(simd, *first.add(*row));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = T::mul_add(simd, x, column, *sum);
                    }
                }
                // Behind the last unit this may be outside of the operand, where nothing is read.
                first = first.wrapping_add(step);
            };
            for _ in 0..self.units / UNROLLED {
                for _ in 0..UNROLLED {
                    multiply_unit();
                }
            }
            for _ in 0..self.units % UNROLLED {
                multiply_unit();
            }
            for (row, mut sums) in sums.into_iter().enumerate() {
                let out = self.out.first.add(row * self.out.stride);
                let out = out.cast::<[T::Vector<S>; COUNT]>();
                if self.write == Write::Add {
                    for (sum, before) in sums.iter_mut().zip(out.read_unaligned()) {
                        *sum = <T as Lanes>::add(simd, before, *sum);
                    }
                }
                out.write_unaligned(sums);
            }
        }
    }
}
