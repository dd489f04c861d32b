use std::arch::asm;
use std::ops::Range;

use rayon::prelude::*;

use super::super::frame::Frame;
use super::super::kernel::KernelShape;
use super::{fits, reach};
use crate::cpu::{
    Aligned, Contiguous, Operand, Shared, Threads, Tiles, Write, add, pack_pairs, round,
};

/// Framed numbers that are rounded at a time; they stay in the second-level cache.
const STRIP: usize = 64 * 1024;
/// Pixels of a row that are computed before they are written to their planes.
const SEGMENT: usize = 128;
/// From an output's pixels to those of the next; not a power of two, which few places of a cache would serve.
const STRIDE: usize = SEGMENT + Tiles::SIDE;

/// A kernel, rounded.
#[derive(Debug)]
pub(in super::super) struct Rounded {
    frame: Frame,
    shape: KernelShape,
    /// `[outputs / 16, steps, 16 outputs, 16 pairs]`: each step multiplies 16 pairs of channels and vertical
    /// taps, all of one horizontal tap.
    weights: Aligned<f32>,
}

/// Some rows of the input as `[rows, pairs of channels, width]`, with zeros for a step behind them.
struct Strip {
    numbers: Aligned<f32>,
    /// Where each step's pairs begin, in bytes from the place of a pixel on.
    steps: Vec<usize>,
    /// From a pair to the next.
    stride: usize,
    /// From a row to the next.
    row: usize,
}

/// A tile of outputs by pixels.
struct Products<'a> {
    /// `[steps, 16 outputs, 16 pairs]`
    weights: *const f32,
    /// The same of the next 16 outputs, if there are some.
    below: *const f32,
    input: *const f32,
    /// Where each step's pairs begin, in bytes from `input` on.
    steps: &'a [usize],
    /// From a pair to the next.
    stride: usize,
    /// `[outputs, STRIDE]`
    out: *mut f32,
}

impl Rounded {
    /// `weight` gives a tap, counted along the input channels and rows, for an output channel.
    pub(in super::super) fn new(
        frame: Frame,
        shape: KernelShape,
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Option<Self> {
        if !fits(frame, shape) {
            return None;
        }
        let KernelShape { height, width, .. } = shape;
        let (pairs, blocks) = (shape.inputs.div_ceil(2), blocks(shape));
        let size = width * blocks * Tiles::SIZE;
        let mut weights = Aligned::new(shape.outputs.div_ceil(Tiles::SIDE) * size);
        weights
            .par_chunks_mut(size)
            .enumerate()
            .for_each(|(i, weights)| {
                let rows = weights.chunks_exact_mut(Tiles::SIDE).enumerate();
                for (row, rounded) in rows {
                    let (step, output) = (row / Tiles::SIDE, i * Tiles::SIDE + row % Tiles::SIDE);
                    let (column, block) = (step / blocks, step % blocks);
                    let numbers: [f32; 2 * Tiles::SIDE] = std::array::from_fn(|number| {
                        let place = block * Tiles::SIDE + number / 2;
                        let (row, channel) = (place / pairs, 2 * (place % pairs) + number % 2);
                        let there =
                            row < height && channel < shape.inputs && output < shape.outputs;
                        let tap = (channel * height + row) * width + column;
                        if there { weight(output, tap) } else { 0. }
                    });
                    // SAFETY: as many numbers as there are; the processor can, as it fits.
                    unsafe {
                        round(
                            numbers.as_ptr(),
                            numbers.len(),
                            rounded.as_mut_ptr(),
                            Tiles::SIDE,
                        );
                    }
                }
            });
        Some(Self {
            frame,
            shape,
            weights,
        })
    }

    /// Convolves framed planes `[inputs]` to planes `[outputs]` without a border.
    pub(in super::super) fn convolve(
        &self,
        input: &[f32],
        output: &mut [f32],
        write: Write,
        threads: Threads,
    ) {
        let frame = self.frame;
        let rows = (STRIP / (self.shape.inputs * frame.stride())).clamp(1, frame.height);
        let output = Shared(output.as_mut_ptr());
        let strip = |first: usize| {
            let rows = first..frame.height.min(first + rows);
            // SAFETY: strips have different rows, and the planes outlive this call.
            unsafe { self.convolve_rows(input, rows, output, write) };
        };
        let firsts = (0..frame.height).step_by(rows);
        match threads {
            Threads::One => firsts.for_each(strip),
            Threads::All => firsts.collect::<Vec<_>>().into_par_iter().for_each(strip),
        }
    }

    /// # Safety
    /// `output` has room for the planes, and nobody else writes to these rows.
    unsafe fn convolve_rows(
        &self,
        input: &[f32],
        rows: Range<usize>,
        output: Shared<f32>,
        write: Write,
    ) {
        // SAFETY: they are supported, as it fits.
        let _tiles = unsafe { Tiles::configure() };
        let Frame { height, width, .. } = self.frame;
        let strip = self.round(input, &rows);
        let mut sums = Aligned::new(2 * Tiles::SIDE * STRIDE);
        for first_output in (0..self.shape.outputs).step_by(2 * Tiles::SIDE) {
            let outputs = first_output..self.shape.outputs.min(first_output + 2 * Tiles::SIDE);
            for row in rows.clone() {
                for first in (0..width).step_by(SEGMENT) {
                    let pixels = first..width.min(first + SEGMENT);
                    // A short end of a row begins inside the segment before.
                    let start = first.min(width - pixels.len().max(Tiles::SIDE));
                    self.convolve_segment(
                        &outputs,
                        &strip,
                        row - rows.start,
                        start..pixels.end,
                        &mut sums,
                    );
                    for (output_channel, sums) in outputs.clone().zip(sums.chunks(STRIDE)) {
                        let sums = &sums[first - start..][..pixels.len()];
                        let index = (output_channel * height + row) * width + first;
                        // SAFETY: pixels of this row of a plane, as the caller vouches.
                        let to =
                            unsafe { std::slice::from_raw_parts_mut(output.at(index), sums.len()) };
                        match write {
                            Write::Replace => to.copy_from_slice(sums),
                            Write::Add => add(to, sums),
                        }
                    }
                }
            }
        }
    }

    /// Computes pixels of a row of the strip, at least as many as a tile has, as `[outputs, STRIDE]`.
    fn convolve_segment(
        &self,
        outputs: &Range<usize>,
        strip: &Strip,
        row: usize,
        pixels: Range<usize>,
        sums: &mut [f32],
    ) {
        let both = outputs.len() > Tiles::SIDE;
        let size = strip.steps.len() * Tiles::SIZE;
        let weights = &self.weights[outputs.start / Tiles::SIDE * size..];
        let mut done = 0;
        while done < pixels.len() {
            let tiles = match (both, (pixels.len() - done) / Tiles::SIDE) {
                (_, 0 | 1) => 1,
                (true, _) | (false, 2 | 3) => 2,
                (false, _) => 4,
            };
            // What is left over is a tile that overlaps the one before.
            let first = done.min(pixels.len() - Tiles::SIDE);
            let products = Products {
                weights: weights.as_ptr(),
                below: weights[if both { size } else { 0 }..].as_ptr(),
                input: strip.numbers[row * strip.row + pixels.start + first..].as_ptr(),
                steps: &strip.steps,
                stride: strip.stride,
                out: sums[first..].as_mut_ptr(),
            };
            // SAFETY: every step's 16 pairs of these pixels lie inside the strip with the zeros behind it;
            // there are weights for every step, and room for the pixels of 32 outputs.
            unsafe { products.compute(both, tiles) };
            done = first + tiles * Tiles::SIDE;
        }
    }

    /// The rows that some rows of the output see.
    fn round(&self, input: &[f32], rows: &Range<usize>) -> Strip {
        let KernelShape {
            inputs,
            height,
            width,
            ..
        } = self.shape;
        let (first_row, first_column) = reach(self.frame, self.shape);
        let stride = self.frame.stride().next_multiple_of(Tiles::SIDE);
        let row = inputs.div_ceil(2) * stride;
        let count = rows.len() + height - 1;
        assert_eq!(input.len(), self.frame.len(inputs));
        let mut numbers = Aligned::new(count * row + Tiles::SIDE * stride);
        let (strip, behind) = numbers.split_at_mut(count * row);
        behind.fill(0.);
        for (i, to) in strip.chunks_exact_mut(row).enumerate() {
            let first = (first_row + rows.start + i) * self.frame.stride();
            let from = Operand {
                data: input[first..].as_ptr(),
                lines: self.frame.stride(),
                contiguous: Contiguous::Lines,
                stride: self.frame.plane(),
            };
            // SAFETY: a row of every plane, and room for its pairs; the processor can, as it fits.
            unsafe { pack_pairs(&from, 0..from.lines, 0..inputs, stride, to.as_mut_ptr()) };
        }
        let blocks = blocks(self.shape);
        let steps = (0..width * blocks).map(|step| {
            let (column, block) = (step / blocks, step % blocks);
            size_of::<f32>() * (block * Tiles::SIDE * stride + first_column + column)
        });
        Strip {
            numbers,
            steps: steps.collect(),
            stride,
            row,
        }
    }
}

/// Steps of each horizontal tap.
fn blocks(shape: KernelShape) -> usize {
    (shape.height * shape.inputs.div_ceil(2)).div_ceil(Tiles::SIDE)
}

impl Products<'_> {
    /// # Safety
    /// Weights, input and `out` hold what the steps and so many tiles of pixels need, and tiles are configured.
    unsafe fn compute(self, both: bool, columns: usize) {
        // SAFETY: the caller vouches for it.
        unsafe {
            match (both, columns) {
                (false, 1) => one_by_one(self),
                (false, 2) => one_by_two(self),
                (false, _) => one_by_four(self),
                (true, 1) => two_by_one(self),
                (true, _) => two_by_two(self),
            }
        }
    }
}

/// A function for so many tiles of outputs by tiles of pixels: the sums, each with its tile of outputs and of
/// pixels, then what is done in a step. `{a}` and `{below}` are the weights, `{b}` the input.
macro_rules! products {
    ($name:ident, [$(($sum:literal, $place:literal, $column:literal)),*], $($step:literal)*) => {
        /// # Safety
        /// As of [`Products::compute`].
        unsafe fn $name(products: Products<'_>) {
            let Products { weights, below, input, steps, stride, out } = products;
            // SAFETY: the caller vouches for what is read and written.
            unsafe {
                asm!(
                    $(concat!("tilezero tmm", $sum),)*
                    "2:",
                    "mov {b}, [{steps}]",
                    "add {b}, {input}",
                    $($step,)*
                    "add {a}, 1024",
                    "add {below}, 1024",
                    "add {steps}, 8",
                    "dec {count}",
                    "jnz 2b",
                    // Not every variant has outputs below the others.
                    "/* {bottom} */",
                    $(concat!("tilestored [{", $place, "} + {out_row} + ", $column, " * 64], tmm", $sum),)*
                    top = in(reg) out,
                    bottom = in(reg) out.wrapping_add(Tiles::SIDE * STRIDE),
                    out_row = in(reg) size_of::<f32>() * STRIDE,
                    count = inout(reg) steps.len() => _,
                    steps = inout(reg) steps.as_ptr() => _,
                    a = inout(reg) weights => _,
                    below = inout(reg) below => _,
                    a_row = in(reg) size_of::<f32>() * Tiles::SIDE,
                    input = in(reg) input,
                    b = out(reg) _,
                    b_row = in(reg) size_of::<f32>() * stride,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

products!(one_by_one, [(0, "top", 0)],
    "tileloadd tmm4, [{a} + {a_row}]"
    "tileloadd tmm5, [{b} + {b_row}]"
    "tdpbf16ps tmm0, tmm4, tmm5"
);

products!(one_by_two, [(0, "top", 0), (1, "top", 1)],
    "tileloadd tmm4, [{a} + {a_row}]"
    "tileloadd tmm5, [{b} + {b_row}]"
    "tdpbf16ps tmm0, tmm4, tmm5"
    "tileloadd tmm6, [{b} + {b_row} + 64]"
    "tdpbf16ps tmm1, tmm4, tmm6"
);

products!(one_by_four, [(0, "top", 0), (1, "top", 1), (2, "top", 2), (3, "top", 3)],
    "tileloadd tmm4, [{a} + {a_row}]"
    "tileloadd tmm5, [{b} + {b_row}]"
    "tdpbf16ps tmm0, tmm4, tmm5"
    "tileloadd tmm6, [{b} + {b_row} + 64]"
    "tdpbf16ps tmm1, tmm4, tmm6"
    "tileloadd tmm7, [{b} + {b_row} + 128]"
    "tdpbf16ps tmm2, tmm4, tmm7"
    "tileloadd tmm5, [{b} + {b_row} + 192]"
    "tdpbf16ps tmm3, tmm4, tmm5"
);

products!(two_by_one, [(0, "top", 0), (1, "bottom", 0)],
    "tileloadd tmm6, [{b} + {b_row}]"
    "tileloadd tmm4, [{a} + {a_row}]"
    "tdpbf16ps tmm0, tmm4, tmm6"
    "tileloadd tmm5, [{below} + {a_row}]"
    "tdpbf16ps tmm1, tmm5, tmm6"
);

products!(two_by_two, [(0, "top", 0), (1, "top", 1), (2, "bottom", 0), (3, "bottom", 1)],
    "tileloadd tmm6, [{b} + {b_row}]"
    "tileloadd tmm4, [{a} + {a_row}]"
    "tdpbf16ps tmm0, tmm4, tmm6"
    "tileloadd tmm7, [{b} + {b_row} + 64]"
    "tdpbf16ps tmm1, tmm4, tmm7"
    "tileloadd tmm5, [{below} + {a_row}]"
    "tdpbf16ps tmm2, tmm5, tmm6"
    "tdpbf16ps tmm3, tmm5, tmm7"
);
