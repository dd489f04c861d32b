use std::ops::Range;

use super::operand::Operand;
use crate::cpu::{Real, Registers, Rows, Write};

/// The most vectors in a row of a tile of any format.
pub(crate) const VECTORS: usize = 3;

/// How numbers are multiplied: as they are, or rounded. Sums are always of `T`.
///
/// What is multiplied at once, a unit, takes the memory of a `T`: one number, or several neighbours
/// along the depth.
pub(crate) trait Format<T: Real> {
    /// What a thread has as long as it computes.
    type Session;

    /// Numbers of a unit.
    const NUMBERS: usize;
    /// Numbers along the depth that are multiplied at once; lines are filled up with zeros to a multiple.
    const GRANULE: usize = Self::NUMBERS;
    /// The most columns that are packed before rows are multiplied with them.
    const STRIP: usize = 144;

    /// What a tile is made of.
    fn registers() -> Registers;

    /// Begins to compute in the calling thread.
    ///
    /// # Safety
    /// The processor can compute in this format.
    unsafe fn begin() -> Self::Session;

    /// Units that so many numbers along the depth take.
    fn units(depth: usize) -> usize {
        depth.next_multiple_of(Self::GRANULE) / Self::NUMBERS
    }

    /// Writes some lines as `[units, width]`, with zeros behind the last line and the last number.
    ///
    /// # Safety
    /// The operand has these lines and this depth, and `to` has room for them; there are at most
    /// `width` lines.
    unsafe fn pack(
        from: &Operand<T>,
        lines: Range<usize>,
        depth: Range<usize>,
        width: usize,
        to: *mut T,
    );

    /// Writes a tile's rows from lines that are not contiguous along the depth, with zeros as
    /// [`Format::pack`] does.
    ///
    /// # Safety
    /// The operand has these lines and this depth, and is not contiguous along it; `to` has room for
    /// `height` lines, as many as a tile has.
    unsafe fn pack_rows(
        from: &Operand<T>,
        lines: Range<usize>,
        depth: Range<usize>,
        height: usize,
        to: *mut T,
    ) {
        // SAFETY: the caller vouches for it.
        unsafe { Self::pack(from, lines, depth, height, to) };
    }

    /// The rows of a tile that [`Format::pack_rows`] wrote.
    fn packed(tile: &[T]) -> Lines<T> {
        Lines::packed(tile, Self::registers().rows)
    }

    /// The rows of a tile from lines that are contiguous along the depth; the last one again where
    /// there are fewer.
    ///
    /// # Safety
    /// The operand has these lines and this depth, and is contiguous along it; there are at most as
    /// many lines as a tile has rows, and `scratch` has room for their units.
    unsafe fn lines(
        from: &Operand<T>,
        lines: Range<usize>,
        depth: Range<usize>,
        scratch: *mut T,
    ) -> Lines<T>;

    /// Multiplies a tile's rows with a panel.
    ///
    /// # Safety
    /// The rows and the panel hold so many units; `out` is valid for all rows of the tile, for reading too
    /// if it is added to.
    unsafe fn tile(tile: Tile<T>);
}

/// A tile's rows times a panel, and where the products go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<T> {
    pub(super) lines: Lines<T>,
    /// `[units, vectors]`
    pub(super) panel: *const T,
    pub(super) units: usize,
    pub(super) vectors: usize,
    pub(super) out: Rows<*mut T>,
    pub(super) write: Write,
}

/// The rows of a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<T> {
    /// The first unit of the first row.
    pub(super) first: *const T,
    /// From a row to the next.
    pub(super) stride: usize,
    /// From what is multiplied at once to the next.
    pub(super) step: usize,
    /// Rows that there are; the last one stands for all others.
    pub(super) count: usize,
}

impl<T> Lines<T> {
    /// The rows of a packed tile, `[units, rows]`.
    pub(super) fn packed(tile: &[T], rows: usize) -> Self {
        Self {
            first: tile.as_ptr(),
            stride: 1,
            step: rows,
            count: rows,
        }
    }
}
