use std::arch::asm;
use std::ops::Range;

use rayon::prelude::*;

use super::super::frame::Frame;
use super::super::kernel::KernelShape;
use super::{fits, reach};
use crate::cpu::{Aligned, Contiguous, Operand, Threads, Tiles, pack_lines, round};

/// Framed numbers that are rounded at a time; with both operands they stay in the second-level cache.
const STRIP: usize = 128 * 1024;
/// Pixels that a step multiplies.
const STEP: usize = 2 * Tiles::SIDE;

/// Adds the gradient of a weight `[outputs, inputs, height, width]` for one image to `share`, if it can be
/// computed this way.
///
/// `input` and `output` are framed alike: what the convolution saw, and the gradient of what it gave.
pub(in super::super) fn weight_gradient(
    frame: Frame,
    input: &[f32],
    output: &[f32],
    shape: KernelShape,
    share: &mut [f32],
    threads: Threads,
) -> bool {
    let taps = shape.height * shape.width;
    if !fits(frame, shape) || !matches!(shape.width, 1 | 3) {
        return false;
    }
    let most = shape.inputs.max(shape.outputs) * frame.stride();
    let rows = (STRIP / most).clamp(1, frame.height);
    let strip = |first: usize| {
        let rows = first..frame.height.min(first + rows);
        sums_of_rows(frame, input, output, shape, &rows)
    };
    let columns = shape.outputs.next_multiple_of(Tiles::SIDE);
    let tap_size = shape.inputs.next_multiple_of(Tiles::SIDE) * columns;
    let mut add = |sums: &[f32]| {
        let weights = share.chunks_exact_mut(taps).enumerate();
        for (i, weights) in weights {
            let (output, input) = (i / shape.inputs, i % shape.inputs);
            for (tap, weight) in weights.iter_mut().enumerate() {
                *weight += sums[tap * tap_size + input * columns + output];
            }
        }
    };
    let firsts = (0..frame.height).step_by(rows);
    match threads {
        Threads::One => firsts.for_each(|first| add(&strip(first))),
        Threads::All => {
            let strips: Vec<_> = firsts.collect();
            let sums: Vec<_> = strips.into_par_iter().map(strip).collect();
            sums.iter().for_each(|sums| add(sums));
        }
    }
    true
}

/// The gradient from some rows of the output as `[taps, inputs, outputs]`, both channels filled up to whole
/// tiles.
fn sums_of_rows(
    frame: Frame,
    input: &[f32],
    output: &[f32],
    shape: KernelShape,
    rows: &Range<usize>,
) -> Aligned<f32> {
    // SAFETY: they are supported, as it fits.
    let _tiles = unsafe { Tiles::configure() };
    let KernelShape {
        outputs,
        inputs,
        height,
        width,
        ..
    } = shape;
    let (_, first_column) = reach(frame, shape);
    let steps = pixels(frame, rows).div_ceil(STEP);
    let seen = Seen::new(frame, input, shape, rows);
    let size = steps * Tiles::SIZE;
    let right = round_output(frame, output, outputs, rows, size);
    let all_inputs = inputs.next_multiple_of(Tiles::SIDE);
    let columns = outputs.next_multiple_of(Tiles::SIDE);
    let mut sums = Aligned::new(height * width * all_inputs * columns);
    for (i, right) in right.chunks_exact(size).enumerate() {
        for first in (0..all_inputs).step_by(2 * Tiles::SIDE) {
            let both = first + Tiles::SIDE < all_inputs;
            for tap_row in 0..height {
                let out = (tap_row * width * all_inputs + first) * columns + i * Tiles::SIDE;
                let place = tap_row * frame.stride() + first_column;
                let products = Products {
                    input: seen.numbers[first * seen.row..]
                        .as_ptr()
                        .cast::<u16>()
                        .wrapping_add(place),
                    row: seen.row,
                    output: right.as_ptr(),
                    steps,
                    out: sums[out..].as_mut_ptr(),
                    columns,
                    tap: all_inputs * columns,
                };
                // SAFETY: a step's pixels of 16 or 32 inputs are there for every tap, and a step's pairs of
                // 16 outputs; every tap has room for their products.
                unsafe { products.compute(both, width) };
            }
        }
    }
    sums
}

/// Pixels from the first one of some rows to the last one, the borders between the rows among them: there, the
/// gradient of the output is zero.
fn pixels(frame: Frame, rows: &Range<usize>) -> usize {
    (rows.len() - 1) * frame.stride() + frame.width
}

/// What some rows of the output see, rounded: `[inputs, pixels]`, inputs filled up to whole tiles, with room
/// for a step behind each.
struct Seen {
    numbers: Aligned<f32>,
    /// From an input to the next, in pairs.
    row: usize,
}

impl Seen {
    fn new(frame: Frame, input: &[f32], shape: KernelShape, rows: &Range<usize>) -> Self {
        let (first_row, _) = reach(frame, shape);
        let seen = (rows.len() + shape.height - 1) * frame.stride();
        let row = (seen + STEP).next_multiple_of(STEP) / 2 + Tiles::SIDE;
        let mut numbers = Aligned::new(shape.inputs.next_multiple_of(Tiles::SIDE) * row);
        let (inputs, behind) = numbers.split_at_mut(shape.inputs * row);
        behind.fill(0.);
        for (channel, to) in inputs.chunks_exact_mut(row).enumerate() {
            let first = channel * frame.plane() + (first_row + rows.start) * frame.stride();
            let from = &input[first..][..seen];
            let (to, behind) = to.split_at_mut(seen.div_ceil(2));
            behind.fill(0.);
            // SAFETY: so many numbers, and room for them; the processor can, as it fits.
            unsafe { round(from.as_ptr(), from.len(), to.as_mut_ptr(), Tiles::SIDE) };
        }
        Self { numbers, row }
    }
}

/// Some rows of the output, rounded: `[outputs / 16, pairs of pixels, 16 outputs]`, each 16 outputs filled up
/// with zeros to `size` numbers.
fn round_output(
    frame: Frame,
    output: &[f32],
    outputs: usize,
    rows: &Range<usize>,
    size: usize,
) -> Aligned<f32> {
    let pixels = pixels(frame, rows);
    let mut rounded = Aligned::new(outputs.div_ceil(Tiles::SIDE) * size);
    let from = Operand {
        data: output[frame.origin() + rows.start * frame.stride()..].as_ptr(),
        lines: outputs,
        contiguous: Contiguous::Depth,
        stride: frame.plane(),
    };
    for (i, to) in rounded.chunks_exact_mut(size).enumerate() {
        let first = i * Tiles::SIDE;
        let lines = first..outputs.min(first + Tiles::SIDE);
        to[pixels.div_ceil(2) * Tiles::SIDE..].fill(0.);
        // SAFETY: the pixels of these planes, and room for their pairs; the processor can, as it fits.
        unsafe { pack_lines(&from, lines, 0..pixels, Tiles::SIDE, to.as_mut_ptr()) };
    }
    rounded
}

/// A tile of inputs by outputs for each tap of a row, or two tiles one below the other.
struct Products {
    /// Rounded: the pixel that the first tap sees first.
    input: *const u16,
    /// From an input to the next, in pairs.
    row: usize,
    /// `[steps, 16 pairs of pixels, 16 outputs]`
    output: *const f32,
    steps: usize,
    out: *mut f32,
    /// From an input's sums to the next ones.
    columns: usize,
    /// From a tap's sums to the next ones.
    tap: usize,
}

impl Products {
    /// # Safety
    /// Input, output and `out` hold what the steps need, and tiles are configured.
    unsafe fn compute(self, both: bool, taps: usize) {
        // SAFETY: the caller vouches for it.
        unsafe {
            match (both, taps) {
                (false, 1) => one_by_one(self),
                (true, 1) => two_by_one(self),
                (false, _) => one_by_three(self),
                (true, _) => two_by_three(self),
            }
        }
    }
}

/// A function for so many tiles of inputs by taps: the first sums of every tap, those of the inputs below if
/// there are some, then what is done in a step. `{a}` and `{below}` are the input, `{b}` the output.
macro_rules! products {
    ($name:ident, [$($top:literal),*], [$($bottom:literal),*], $($step:literal)*) => {
        /// # Safety
        /// As of [`Products::compute`].
        unsafe fn $name(products: Products) {
            let Products { input, row, output, steps, out, columns, tap } = products;
            // SAFETY: the caller vouches for what is read and written.
            unsafe {
                asm!(
                    $(concat!("tilezero tmm", $top),)*
                    $(concat!("tilezero tmm", $bottom),)*
                    "2:",
                    "tileloadd tmm7, [{b} + {b_row}]",
                    $($step,)*
                    "add {a}, 64",
                    "add {below}, 64",
                    "add {b}, 1024",
                    "dec {count}",
                    "jnz 2b",
                    $(concat!("tilestored [{top} + {out_row}], tmm", $top), "add {top}, {tap}",)*
                    $(concat!("tilestored [{bottom} + {out_row}], tmm", $bottom), "add {bottom}, {tap}",)*
                    // Not every variant has inputs below the others.
                    "/* {bottom} */",
                    top = inout(reg) out => _,
                    bottom = inout(reg) out.wrapping_add(Tiles::SIDE * columns) => _,
                    out_row = in(reg) size_of::<f32>() * columns,
                    tap = in(reg) size_of::<f32>() * tap,
                    count = inout(reg) steps => _,
                    a = inout(reg) input => _,
                    below = inout(reg) input.wrapping_add(Tiles::SIDE * 2 * row) => _,
                    a_row = in(reg) size_of::<f32>() * row,
                    b = inout(reg) output => _,
                    b_row = in(reg) size_of::<f32>() * Tiles::SIDE,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

products!(one_by_one, [0], [],
    "tileloadd tmm6, [{a} + {a_row}]"
    "tdpbf16ps tmm0, tmm6, tmm7"
);

products!(two_by_one, [0], [1],
    "tileloadd tmm6, [{a} + {a_row}]"
    "tdpbf16ps tmm0, tmm6, tmm7"
    "tileloadd tmm5, [{below} + {a_row}]"
    "tdpbf16ps tmm1, tmm5, tmm7"
);

products!(one_by_three, [0, 1, 2], [],
    "tileloadd tmm6, [{a} + {a_row}]"
    "tdpbf16ps tmm0, tmm6, tmm7"
    "tileloadd tmm5, [{a} + {a_row} + 2]"
    "tdpbf16ps tmm1, tmm5, tmm7"
    "tileloadd tmm6, [{a} + {a_row} + 4]"
    "tdpbf16ps tmm2, tmm6, tmm7"
);

products!(two_by_three, [0, 1, 2], [3, 4, 5],
    "tileloadd tmm6, [{a} + {a_row}]"
    "tdpbf16ps tmm0, tmm6, tmm7"
    "tileloadd tmm6, [{a} + {a_row} + 2]"
    "tdpbf16ps tmm1, tmm6, tmm7"
    "tileloadd tmm6, [{a} + {a_row} + 4]"
    "tdpbf16ps tmm2, tmm6, tmm7"
    "tileloadd tmm6, [{below} + {a_row}]"
    "tdpbf16ps tmm3, tmm6, tmm7"
    "tileloadd tmm6, [{below} + {a_row} + 2]"
    "tdpbf16ps tmm4, tmm6, tmm7"
    "tileloadd tmm6, [{below} + {a_row} + 4]"
    "tdpbf16ps tmm5, tmm6, tmm7"
);
