use std::ops::Range;

use rayon::prelude::*;

use super::format::{Format, Lines, Tile};
use super::operand::{Contiguous, Operand, even};
use crate::cpu::{Aligned, Real, Registers, Rows, Shared, Threads, Write, add, add_constant};

/// The most units of the depth that are summed before the sums go to the result.
pub(crate) const UNITS: usize = 768;
/// Lines of an operand that are worth a thread.
const LINES: usize = 64;
/// Units of the depth that are packed for all panels before the next ones.
const CHUNK: usize = 32;
/// Rows of tiles that are turned into columns at a time: whole cache lines of the result.
const TURNED: usize = 32;

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

/// Part of the result.
struct Place<'a, T> {
    rows: Range<usize>,
    columns: Range<usize>,
    write: Write,
    /// If it has to be added yet.
    bias: Option<&'a [T]>,
}

/// Some columns, packed for part of the depth.
struct Strip<'a, T> {
    numbers: &'a [T],
    units: usize,
    columns: Range<usize>,
}

impl<T: Real> Strip<'_, T> {
    /// Multiplies a tile's rows with all columns.
    ///
    /// # Safety
    /// The lines hold as many units; `out` has room for a tile's rows of the columns, filled up to whole
    /// vectors.
    unsafe fn multiply<F: Format<T>>(&self, lines: Lines<T>, out: Rows<*mut T>, write: Write) {
        let lanes = F::registers().lanes;
        let mut rest = self.numbers;
        for panel in panels::<T, F>(&self.columns) {
            let vectors = panel.len().div_ceil(lanes);
            let numbers = take(&mut rest, self.units * vectors * lanes);
            // SAFETY: as the caller vouches; the panel holds the units of its columns.
            unsafe {
                F::tile(Tile {
                    lines,
                    panel: numbers.as_ptr(),
                    units: self.units,
                    vectors,
                    out: Rows {
                        first: out.first.add(panel.start - self.columns.start),
                        ..out
                    },
                    write,
                });
            }
        }
    }
}

impl<T: Real> Job<'_, T> {
    /// Computes the product.
    ///
    /// # Safety
    /// As of [`Job::run`] for all of it.
    pub(crate) unsafe fn compute<F: Format<T>>(self, threads: Threads) {
        let (rows, columns) = (0..self.rows.lines, 0..self.columns.lines);
        let Registers {
            rows: height,
            lanes,
            ..
        } = F::registers();
        let parts = |lines: Range<usize>, granule: usize| {
            let most = lines.len().div_ceil(2 * rayon::current_num_threads());
            let most = most.max(LINES).next_multiple_of(granule);
            even(lines, most, granule).collect::<Vec<_>>()
        };
        // SAFETY: the caller vouches for the whole product, and its parts do not overlap.
        unsafe {
            if threads == Threads::One {
                self.run::<F>(rows, columns, None);
            } else if rows.len() >= columns.len() {
                let packed = self.pack_columns::<F>();
                let parts = parts(rows, height).into_par_iter();
                parts.for_each(|rows| self.run::<F>(rows, columns.clone(), Some(&packed)));
            } else {
                let parts = parts(columns, lanes).into_par_iter();
                parts.for_each(|columns| self.run::<F>(rows.clone(), columns, None));
            }
        }
    }

    /// Computes part of the product; `packed` is what [`Job::pack_columns`] made, if they are all columns.
    ///
    /// # Safety
    /// Both operands hold their lines, `depth` long; `out` is valid for this part of the product, for
    /// reading too if it is added to, nobody else writes to it, and it overlaps neither operand. The
    /// processor can compute in this format.
    unsafe fn run<F: Format<T>>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        packed: Option<&[T]>,
    ) {
        let Registers {
            rows: height,
            lanes,
            ..
        } = F::registers();
        // SAFETY: the processor can, as the caller vouches.
        let _session = unsafe { F::begin() };
        let blocks = self.blocks::<F>();
        let most_units = blocks.clone().map(|block| F::units(block.len())).max();
        let most_units = most_units.unwrap_or(0);
        let most_columns = columns.len().min(F::STRIP).next_multiple_of(lanes);
        let own_columns = if packed.is_some() { 0 } else { most_columns };
        let mut own = Aligned::<T>::new(most_units * own_columns);
        let mut shared = packed;
        let turned_tiles = (TURNED / height).max(1);
        let mut scratch = Aligned::<T>::new(most_units * height);
        let mut sums = Aligned::<T>::new(TURNED.max(height) * most_columns);
        // SAFETY: the lines and the depth are parts of those that the caller vouches for.
        let packed = unsafe { self.pack_rows::<F>(&rows, blocks.clone(), height) };
        for columns in even(columns, F::STRIP, lanes) {
            let mut packed = packed.as_deref();
            for block in blocks.clone() {
                let units = F::units(block.len());
                let size = units * columns.len().next_multiple_of(lanes);
                let strip = match &mut shared {
                    Some(shared) => take(shared, size),
                    None => {
                        // SAFETY: as above; there is room for the panels of a strip.
                        unsafe { self.pack_strip::<F>(&columns, &block, &mut own) };
                        &own[..size]
                    }
                };
                let first = block.start == 0;
                for (tile, tile_rows) in tiles(rows.clone(), height).enumerate() {
                    let lines = match &mut packed {
                        Some(packed) => F::packed(take(packed, height * units)),
                        // SAFETY: as above; the rows are contiguous along the depth if they are not
                        // packed, and there is room for a tile of them.
                        None => unsafe {
                            let scratch = scratch.as_mut_ptr();
                            F::lines(&self.rows, tile_rows.clone(), block.clone(), scratch)
                        },
                    };
                    let strip = Strip {
                        numbers: strip,
                        units,
                        columns: columns.clone(),
                    };
                    let place = Place {
                        columns: columns.clone(),
                        rows: tile_rows,
                        write: if first { self.write } else { Write::Add },
                        bias: self.bias.filter(|_| first),
                    };
                    // SAFETY: the lines and the strip hold the units of the block; this part of the
                    // result is the caller's.
                    unsafe {
                        match self.order {
                            Order::Rows => self.by_rows::<F>(lines, &strip, &place, &mut sums),
                            Order::Columns => {
                                let turned = tile % turned_tiles;
                                let out = Rows {
                                    first: sums[turned * height * most_columns..].as_mut_ptr(),
                                    stride: most_columns,
                                };
                                strip.multiply::<F>(lines, out, Write::Replace);
                                if turned + 1 == turned_tiles || place.rows.end == rows.end {
                                    let first = place.rows.start - turned * height;
                                    let rows = first..place.rows.end;
                                    let place = Place { rows, ..place };
                                    self.turn(&place, &mut sums, most_columns);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The parts of the depth; one at least, as nothing but zeros has to be written too.
    fn blocks<F: Format<T>>(&self) -> impl Iterator<Item = Range<usize>> + Clone + use<T, F> {
        let nothing = (self.depth == 0).then_some(0..0);
        even(0..self.depth, UNITS * F::NUMBERS, F::GRANULE).chain(nothing)
    }

    /// All columns as [`Job::run`] needs them, by all threads.
    ///
    /// # Safety
    /// The operand of the columns holds its lines, and the processor can compute in this format.
    unsafe fn pack_columns<F: Format<T>>(&self) -> Aligned<T> {
        let lanes = F::registers().lanes;
        let columns = 0..self.columns.lines;
        let all: usize = self.blocks::<F>().map(|block| F::units(block.len())).sum();
        // SAFETY: all strips of all blocks are packed.
        let mut packed = unsafe { Aligned::unwritten(all * columns.len().next_multiple_of(lanes)) };
        let mut rest = &mut *packed;
        let mut parts = Vec::new();
        for strip in even(columns, F::STRIP, lanes) {
            for block in self.blocks::<F>() {
                let size = F::units(block.len()) * strip.len().next_multiple_of(lanes);
                let (part, others) = rest.split_at_mut(size);
                rest = others;
                parts.push((strip.clone(), block, part));
            }
        }
        parts.into_par_iter().for_each(|(strip, block, part)| {
            // SAFETY: as the caller vouches; the part has room for the panels of the strip.
            unsafe { self.pack_strip::<F>(&strip, &block, part) };
        });
        packed
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
        let all: usize = blocks.clone().map(|block| F::units(block.len())).sum();
        // SAFETY: all rows of all blocks are packed.
        let mut packed = unsafe { Aligned::unwritten(padded * all) };
        let mut rest = &mut *packed;
        for block in blocks {
            let (panels, others) = rest.split_at_mut(padded * F::units(block.len()));
            rest = others;
            // SAFETY: as the caller vouches; there is room for the panels of all rows.
            unsafe {
                pack::<T, F>(
                    F::pack_rows,
                    &self.rows,
                    &tiles(rows.clone(), height),
                    height,
                    &block,
                    panels,
                );
            };
        }
        Some(packed)
    }

    /// Some columns as panels of a tile's width.
    ///
    /// # Safety
    /// As of [`Job::run`].
    unsafe fn pack_strip<F: Format<T>>(
        &self,
        columns: &Range<usize>,
        block: &Range<usize>,
        strip: &mut [T],
    ) {
        let lanes = F::registers().lanes;
        // SAFETY: as the caller vouches; there is room for the panels of a strip.
        unsafe {
            pack::<T, F>(
                F::pack,
                &self.columns,
                &panels::<T, F>(columns),
                lanes,
                block,
                strip,
            );
        };
    }

    /// Multiplies a tile's rows with a strip, to the rows of the result; by way of `sums` if they end
    /// inside the tile or a vector, or have a bias.
    ///
    /// # Safety
    /// The lines hold the units of the strip; this place is the caller's part of the result, and `sums`
    /// has room for it.
    unsafe fn by_rows<F: Format<T>>(
        &self,
        lines: Lines<T>,
        strip: &Strip<'_, T>,
        place: &Place<'_, T>,
        sums: &mut [T],
    ) {
        let Registers {
            rows: height,
            lanes,
            ..
        } = F::registers();
        let (columns, stride) = (&place.columns, self.out.stride);
        // SAFETY: these columns of the place's rows are inside the result.
        let out = |row: usize| unsafe { self.out.first.0.add(row * stride + columns.start) };
        let whole = place.rows.len() == height && columns.len().is_multiple_of(lanes);
        if whole && place.bias.is_none() {
            let first = out(place.rows.start);
            // SAFETY: all of it lies inside the result.
            unsafe { strip.multiply::<F>(lines, Rows { first, stride }, place.write) };
            return;
        }
        let width = columns.len().next_multiple_of(lanes);
        let result = |row: usize| {
            // SAFETY: as above, and nobody else has these columns of the row.
            unsafe { std::slice::from_raw_parts_mut(out(row), columns.len()) }
        };
        if place.write == Write::Add {
            // A format may begin with what it adds to, here as where a tile is whole.
            for (row, sums) in place.rows.clone().zip(sums.chunks_exact_mut(width)) {
                sums[..columns.len()].copy_from_slice(result(row));
            }
        }
        let tile = Rows {
            first: sums.as_mut_ptr(),
            stride: width,
        };
        // SAFETY: there is room for it in `sums`, as the caller vouches.
        unsafe { strip.multiply::<F>(lines, tile, place.write) };
        for (row, sums) in place.rows.clone().zip(sums.chunks_exact_mut(width)) {
            let sums = &mut sums[..columns.len()];
            if let Some(bias) = place.bias {
                add(sums, &bias[columns.clone()]);
            }
            result(row).copy_from_slice(sums);
        }
    }

    /// Writes rows of sums, `width` apart, to the columns of the result.
    ///
    /// # Safety
    /// This place is the caller's part of the result.
    unsafe fn turn(&self, place: &Place<'_, T>, sums: &mut [T], width: usize) {
        if let Some(bias) = place.bias {
            for (row, sums) in place.rows.clone().zip(sums.chunks_exact_mut(width)) {
                add_constant(&mut sums[..place.columns.len()], bias[row]);
            }
        }
        let from = Rows {
            first: sums.as_ptr(),
            stride: width,
        };
        let size = (place.rows.len(), place.columns.len());
        assert!(size.0 * width <= sums.len() && size.1 <= width);
        let stride = self.out.stride;
        // SAFETY: the sums are there, as asserted, and the place is inside the result.
        unsafe {
            let first = place.columns.start * stride + place.rows.start;
            let to = Rows {
                first: self.out.first.0.add(first),
                stride,
            };
            T::transpose(from, size, to, place.write);
        }
    }
}

/// Packs part of the depth of an operand's lines by `pack`, panel after panel, each filled up with zeros
/// to a multiple of `granule` lines.
///
/// # Safety
/// As of `pack`: the operand holds the lines of the panels and this depth; `to` has room for them.
unsafe fn pack<T: Real, F: Format<T>>(
    pack: unsafe fn(&Operand<T>, Range<usize>, Range<usize>, usize, *mut T),
    from: &Operand<T>,
    panels: &(impl Iterator<Item = Range<usize>> + Clone),
    granule: usize,
    depth: &Range<usize>,
    to: &mut [T],
) {
    // Lines that lie side by side are read on from one panel to the next.
    let chunk = match from.contiguous {
        Contiguous::Depth => depth.len(),
        Contiguous::Lines => CHUNK * F::NUMBERS,
    };
    for start in depth.clone().step_by(chunk.max(1)) {
        let part = start..depth.end.min(start + chunk);
        let before = F::units(start - depth.start);
        let mut rest = &mut *to;
        for panel in panels.clone() {
            let width = panel.len().next_multiple_of(granule);
            let (to, others) = rest.split_at_mut(F::units(depth.len()) * width);
            rest = others;
            let to = to[before * width..].as_mut_ptr();
            // SAFETY: as the caller vouches; the panel has room for its part of the depth.
            unsafe { pack(from, panel, part.clone(), width, to) };
        }
    }
}

/// The first of some numbers, which are left with the others.
fn take<'a, T>(numbers: &mut &'a [T], count: usize) -> &'a [T] {
    let (first, others) = numbers.split_at(count);
    *numbers = others;
    first
}

/// The rows of each tile.
fn tiles(rows: Range<usize>, height: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let end = rows.end;
    rows.step_by(height)
        .map(move |first| first..end.min(first + height))
}

/// The columns of each panel of a strip.
fn panels<T: Real, F: Format<T>>(
    columns: &Range<usize>,
) -> impl Iterator<Item = Range<usize>> + Clone + use<T, F> {
    let Registers { lanes, vectors, .. } = F::registers();
    even(columns.clone(), vectors * lanes, lanes)
}
