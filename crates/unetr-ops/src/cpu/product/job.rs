use std::ops::Range;

use super::format::{Format, Lines, VECTORS};
use super::operand::{Contiguous, Operand, even};
use crate::cpu::{Aligned, Real, Registers, Rows, Shared, Write, add, add_constant};

/// The most units of the depth that are summed before the sums go to the result.
const UNITS: usize = 512;
/// The most columns of a strip.
const STRIP: usize = 256;

/// A product: every line of `rows` times every line of `columns`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a, T> {
    pub(crate) rows: Operand<T>,
    pub(crate) columns: Operand<T>,
    pub(crate) depth: usize,
    pub(crate) out: Rows<Shared<T>>,
    pub(crate) order: Order,
    pub(crate) write: Write,
    /// A number for each column of the result as it lies in memory, which is added to it.
    pub(crate) bias: Option<&'a [T]>,
}

/// How the result lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Row after row.
    Rows,
    /// Column after column.
    Columns,
}

/// A tile of the result.
struct Place {
    rows: Range<usize>,
    columns: Range<usize>,
    write: Write,
    /// Whether the bias has to be added yet.
    first: bool,
}

impl<T: Real> Job<'_, T> {
    /// Computes part of the product.
    ///
    /// # Safety
    /// Both operands hold their lines, `depth` long; `out` is valid for this part of the product, for
    /// reading too if it is added to, nobody else writes to it, and it overlaps neither operand. The
    /// processor can compute in this format.
    pub(crate) unsafe fn run<F: Format<T>>(&self, rows: Range<usize>, columns: Range<usize>) {
        let Registers {
            rows: height,
            lanes,
        } = F::registers();
        // Without a depth everything is zero, which has to be written too.
        let nothing = (self.depth == 0).then_some(0..0);
        let blocks = even(0..self.depth, UNITS * F::NUMBERS, F::NUMBERS).chain(nothing);
        let units = |depth: &Range<usize>| depth.len().div_ceil(F::NUMBERS);
        let most_units = blocks.clone().map(|block| units(&block)).max().unwrap_or(0);
        let most_columns = columns.len().min(STRIP).next_multiple_of(lanes);
        let mut strip = Aligned::<T>::new(most_units * most_columns);
        let mut scratch = Aligned::<T>::new(most_units * height);
        let mut sums = Aligned::<T>::new(height * VECTORS * lanes);
        // SAFETY: the lines and the depth are parts of those that the caller vouches for.
        let packed = unsafe { self.pack_rows::<F>(&rows, blocks.clone(), height) };
        for columns in even(columns.clone(), STRIP, lanes) {
            let mut packed = packed.as_deref();
            for block in blocks.clone() {
                let units = units(&block);
                let panels = even(columns.clone(), VECTORS * lanes, lanes);
                let mut end = 0;
                for panel in panels.clone() {
                    let width = panel.len().next_multiple_of(lanes);
                    let to = &mut strip[end..][..units * width];
                    // SAFETY: as above; `to` has room for the panel.
                    unsafe { F::pack(&self.columns, panel, block.clone(), width, to.as_mut_ptr()) };
                    end += units * width;
                }
                let write = if block.start == 0 {
                    self.write
                } else {
                    Write::Add
                };
                for first in rows.clone().step_by(height) {
                    let rows = first..rows.end.min(first + height);
                    let lines = match &mut packed {
                        Some(packed) => {
                            let (tile, others) = packed.split_at(height * units);
                            *packed = others;
                            Lines {
                                first: tile.as_ptr(),
                                stride: 1,
                                step: height,
                                count: height,
                            }
                        }
                        // SAFETY: as above; the rows are contiguous along the depth if they are not
                        // packed, and there is room for a tile of them.
                        None => unsafe {
                            let scratch = scratch.as_mut_ptr();
                            F::lines(&self.rows, rows.clone(), block.clone(), scratch)
                        },
                    };
                    let mut strip = &*strip;
                    for panel in panels.clone() {
                        let vectors = panel.len().div_ceil(lanes);
                        let (columns, others) = strip.split_at(units * vectors * lanes);
                        strip = others;
                        let place = Place {
                            rows: rows.clone(),
                            columns: panel,
                            write,
                            first: block.start == 0,
                        };
                        // SAFETY: rows and panel hold the units of the block.
                        unsafe {
                            self.tile::<F>(lines, columns, units, vectors, &place, &mut sums);
                        }
                    }
                }
            }
        }
    }

    /// Rows that are not contiguous along the depth, as panels of a tile's rows.
    ///
    /// # Safety
    /// As of [`Job::run`].
    unsafe fn pack_rows<F: Format<T>>(
        &self,
        rows: &Range<usize>,
        blocks: impl Iterator<Item = Range<usize>> + Clone,
        height: usize,
    ) -> Option<Aligned<T>> {
        if self.rows.contiguous == Contiguous::Depth {
            return None;
        }
        let padded = rows.len().next_multiple_of(height);
        let units = |depth: &Range<usize>| depth.len().div_ceil(F::NUMBERS);
        let all: usize = blocks.clone().map(|block| units(&block)).sum();
        let mut packed = Aligned::new(padded * all);
        let mut rest = &mut *packed;
        for block in blocks {
            for first in rows.clone().step_by(height) {
                let lines = first..rows.end.min(first + height);
                let (tile, others) = rest.split_at_mut(height * units(&block));
                rest = others;
                // SAFETY: the lines and the depth are parts of those that the caller vouches for.
                unsafe { F::pack(&self.rows, lines, block.clone(), height, tile.as_mut_ptr()) };
            }
        }
        Some(packed)
    }

    /// # Safety
    /// Rows and columns hold so many units of the tile at `place`; `sums` has room for a tile.
    unsafe fn tile<F: Format<T>>(
        &self,
        lines: Lines<T>,
        columns: &[T],
        units: usize,
        vectors: usize,
        place: &Place,
        sums: &mut [T],
    ) {
        let Registers {
            rows: height,
            lanes,
        } = F::registers();
        let bias = self.bias.filter(|_| place.first);
        let whole = place.rows.len() == height && place.columns.len() == vectors * lanes;
        let stride = self.out.stride;
        if whole && self.order == Order::Rows && bias.is_none() {
            // SAFETY: the whole tile lies inside the result.
            unsafe {
                let out = Rows {
                    first: self
                        .out
                        .first
                        .0
                        .add(place.rows.start * stride + place.columns.start),
                    stride,
                };
                F::tile(lines, columns.as_ptr(), units, vectors, out, place.write);
            }
            return;
        }
        let width = vectors * lanes;
        let out = Rows {
            first: sums.as_mut_ptr(),
            stride: width,
        };
        // SAFETY: there is room for the tile in `sums`, as the caller vouches.
        unsafe { F::tile(lines, columns.as_ptr(), units, vectors, out, Write::Replace) };
        match self.order {
            Order::Rows => {
                for (row, sums) in place.rows.clone().zip(sums.chunks_exact_mut(width)) {
                    let sums = &mut sums[..place.columns.len()];
                    if let Some(bias) = bias {
                        add(sums, &bias[place.columns.clone()]);
                    }
                    let first = row * stride + place.columns.start;
                    // SAFETY: these columns of the row are inside the result.
                    let out = unsafe {
                        std::slice::from_raw_parts_mut(self.out.first.0.add(first), sums.len())
                    };
                    match place.write {
                        Write::Replace => out.copy_from_slice(sums),
                        Write::Add => add(out, sums),
                    }
                }
            }
            Order::Columns => {
                if let Some(bias) = bias {
                    for (row, sums) in place.rows.clone().zip(sums.chunks_exact_mut(width)) {
                        add_constant(sums, bias[row]);
                    }
                }
                let from = Rows {
                    first: sums.as_ptr(),
                    stride: width,
                };
                // SAFETY: these rows of every column are inside the result.
                unsafe {
                    let first = place.columns.start * stride + place.rows.start;
                    let to = Rows {
                        first: self.out.first.0.add(first),
                        stride,
                    };
                    let size = (place.rows.len(), place.columns.len());
                    T::transpose(from, size, to, place.write);
                }
            }
        }
    }
}
