//! Products of numbers rounded to bfloat16, summed in f32, by matrix units ([`Tiles`]): 16 rows, 16 columns
//! and 32 places of the depth are multiplied at once.

use std::arch::asm;
use std::ops::Range;

use super::bf16::{Bf16, pack_pairs, round};
use super::format::{Format, Lines, Tile};
use super::operand::Operand;
use crate::cpu::{Real as _, Registers, Rows, Tiles, Write};

#[derive(Debug)]
pub(crate) struct Amx;

const SIDE: usize = Tiles::SIDE;
/// Two tiles one below the other, so that what is read of a panel serves both.
const ROWS: usize = 2 * SIDE;

/// Every function may only run where [`Tiles::are_supported`].
impl Format<f32> for Amx {
    type Session = Tiles;

    const NUMBERS: usize = 2;
    const GRANULE: usize = 2 * SIDE;
    const STRIP: usize = 384;

    fn registers() -> Registers {
        Registers {
            lanes: SIDE,
            rows: ROWS,
            vectors: 2,
        }
    }

    unsafe fn begin() -> Tiles {
        // SAFETY: the caller vouches for it.
        unsafe { Tiles::configure() }
    }

    unsafe fn pack(
        from: &Operand<f32>,
        lines: Range<usize>,
        depth: Range<usize>,
        width: usize,
        to: *mut f32,
    ) {
        let (numbers, all) = (depth.len().div_ceil(2), Self::units(depth.len()));
        // SAFETY: the caller vouches for lines, depth and room.
        unsafe {
            Bf16::pack(from, lines, depth, width, to);
            std::slice::from_raw_parts_mut(to.add(numbers * width), (all - numbers) * width)
                .fill(0.);
        }
    }

    /// `[units / 16, 32 rows, 16 units]`
    unsafe fn pack_rows(
        from: &Operand<f32>,
        lines: Range<usize>,
        depth: Range<usize>,
        _: usize,
        to: *mut f32,
    ) {
        let mut pairs = [0f32; SIDE * ROWS];
        for (block, start) in depth.clone().step_by(Self::GRANULE).enumerate() {
            let part = start..depth.end.min(start + Self::GRANULE);
            let units = part.len().div_ceil(2);
            pairs[units * ROWS..].fill(0.);
            // SAFETY: the caller vouches for lines, depth and room; the pairs of so many units and rows
            // have theirs.
            unsafe {
                pack_pairs(from, lines.clone(), part, ROWS, pairs.as_mut_ptr());
                let from = Rows {
                    first: pairs.as_ptr(),
                    stride: ROWS,
                };
                let to = Rows {
                    first: to.add(block * SIDE * ROWS),
                    stride: SIDE,
                };
                f32::transpose(from, (SIDE, ROWS), to, Write::Replace);
            }
        }
    }

    fn packed(tile: &[f32]) -> Lines<f32> {
        Lines {
            first: tile.as_ptr(),
            stride: SIDE,
            step: SIDE * ROWS,
            count: ROWS,
        }
    }

    unsafe fn lines(
        from: &Operand<f32>,
        lines: Range<usize>,
        depth: Range<usize>,
        scratch: *mut f32,
    ) -> Lines<f32> {
        // As `pack_rows` lays them out.
        let (block, units) = (SIDE * ROWS, Self::units(depth.len()));
        let whole = depth.len() / Self::GRANULE;
        for (row, line) in lines.clone().enumerate() {
            // SAFETY: the caller vouches for the line, for room for it, and for the processor.
            unsafe {
                let row = scratch.add(row * SIDE);
                if units > whole * SIDE {
                    std::slice::from_raw_parts_mut(row.add(whole * block), SIDE).fill(0.);
                }
                round(from.at(line, depth.start), depth.len(), row, block);
            };
        }
        Lines {
            first: scratch,
            stride: SIDE,
            step: block,
            count: lines.len(),
        }
    }

    unsafe fn tile(tile: Tile<f32>) {
        // SAFETY: the caller vouches for all of it.
        unsafe {
            match tile.vectors {
                1 => multiply_1(tile),
                _ => multiply_2(tile),
            }
        }
    }
}

/// A function that multiplies two tiles of rows with a panel of some columns.
///
/// First the sums, each with its tile of rows and of columns; then what is done for 32 places of the depth.
/// `{a}` and `{below}` are both tiles of rows, `{b}` the panel, `{a_row}` and `{b_row}` bytes from a row of a
/// tile to the next.
macro_rules! multiply {
    ($name:ident, $columns:literal, [$(($sum:literal, $place:literal, $column:literal)),*], $($step:literal)*) => {
        /// # Safety
        /// As of [`Format::tile`]; tiles are configured.
        unsafe fn $name(tile: Tile<f32>) {
            let Tile { lines, panel, units, out, write, .. } = tile;
            // SAFETY: rows, panel and `out` are as large as the caller vouches.
            unsafe {
                asm!(
                    "test {add}, {add}",
                    "jz 2f",
                    $(concat!("tileloadd tmm", $sum, ", [{", $place, "} + {out_row} + ", $column, " * 64]"),)*
                    "jmp 3f",
                    "2:",
                    $(concat!("tilezero tmm", $sum),)*
                    "3:",
                    "test {blocks}, {blocks}",
                    "jz 5f",
                    "4:",
                    $($step,)*
                    "add {a}, {a_step}",
                    "add {below}, {a_step}",
                    concat!("add {b}, 1024 * ", $columns),
                    "dec {blocks}",
                    "jnz 4b",
                    "5:",
                    $(concat!("tilestored [{", $place, "} + {out_row} + ", $column, " * 64], tmm", $sum),)*
                    add = in(reg) usize::from(write == Write::Add),
                    top = in(reg) out.first,
                    bottom = in(reg) out.first.add(SIDE * out.stride),
                    out_row = in(reg) size_of::<f32>() * out.stride,
                    blocks = inout(reg) units / SIDE => _,
                    a = inout(reg) lines.first => _,
                    below = inout(reg) lines.first.add(SIDE * lines.stride) => _,
                    a_row = in(reg) size_of::<f32>() * lines.stride,
                    a_step = in(reg) size_of::<f32>() * lines.step,
                    b = inout(reg) panel => _,
                    b_row = in(reg) 64 * $columns as usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

multiply!(multiply_1, 1, [(0, "top", 0), (1, "bottom", 0)],
    "tileloadd tmm7, [{b} + {b_row}]"
    "tileloadd tmm6, [{a} + {a_row}]"
    "tdpbf16ps tmm0, tmm6, tmm7"
    "tileloadd tmm5, [{below} + {a_row}]"
    "tdpbf16ps tmm1, tmm5, tmm7"
);

multiply!(multiply_2, 2, [(0, "top", 0), (1, "top", 1), (2, "bottom", 0), (3, "bottom", 1)],
    "tileloadd tmm7, [{b} + {b_row}]"
    "tileloadd tmm4, [{a} + {a_row}]"
    "tdpbf16ps tmm0, tmm4, tmm7"
    "tileloadd tmm6, [{b} + {b_row} + 64]"
    "tdpbf16ps tmm1, tmm4, tmm6"
    "tileloadd tmm5, [{below} + {a_row}]"
    "tdpbf16ps tmm2, tmm5, tmm7"
    "tdpbf16ps tmm3, tmm5, tmm6"
);
