//! The gradient of a 3×3 kernel by minimal filtering: the adjoint of what [`winograd`](super::winograd)
//! computes. With tiles `d` of the input and `y` of the gradient of the output, the gradient of the
//! transformed kernel is `Σ (A·y·Aᵀ) ∘ (Bᵀ·d·B)` over the tiles, a matrix product for each of 16 places,
//! and `Gᵀ·(…)·G` takes it to that of the kernel.
//!
//! Vectors are channels here, so that the products sum over tiles.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::frame::Frame;
use super::winograd::{CHANNELS, PLACES, input_line};
use crate::cpu::{
    Aligned, Lanes, PANEL_VECTORS, Real, Registers, Rows, Threads, Write, dispatch, tile, tile_rows,
};

/// The most tiles of a block, whose transforms stay in the second-level cache,
const TILES: usize = 64;
/// and those in one of its rows.
const COLUMNS: usize = 16;
/// Blocks that are transformed before they are multiplied, if all threads share an image.
const BLOCKS: usize = 16;
/// Taps of the kernel.
const TAPS: usize = 9;

/// What the gradient of a weight `[outputs, inputs, 3, 3]` is computed from.
#[derive(Debug, Clone, Copy)]
pub(super) struct WinogradGradient<'a, T> {
    pub(super) frame: Frame,
    /// What the convolution saw, framed.
    pub(super) input: &'a [T],
    /// The gradient of what it gave, framed.
    pub(super) output: &'a [T],
    pub(super) outputs: usize,
    pub(super) inputs: usize,
}

/// Whether the gradient of a weight can be computed, and is faster, this way.
pub(super) fn fits(
    frame: Frame,
    (outputs, inputs, height, width): (usize, usize, usize, usize),
    dilation: usize,
) -> bool {
    (height, width, dilation) == (3, 3, 1)
        && frame.height.is_multiple_of(2)
        && frame.width.is_multiple_of(2)
        && outputs >= CHANNELS
        && inputs >= CHANNELS
}

/// How the channels of the input, or of the output, are laid out.
#[derive(Debug, Clone, Copy)]
struct Layout {
    channels: usize,
    lanes: usize,
    /// Vectors of a panel; the last one may have fewer.
    panel: usize,
    /// Channels, filled up.
    width: usize,
}

impl Layout {
    /// In panels for matrix products.
    fn panels(channels: usize, lanes: usize) -> Self {
        let vectors = channels.div_ceil(lanes);
        let panels = vectors.div_ceil(PANEL_VECTORS).max(1);
        Self {
            channels,
            lanes,
            panel: vectors.div_ceil(panels).max(1),
            width: vectors * lanes,
        }
    }

    /// All beside each other, up to whole tiles.
    fn rows(channels: usize, Registers { lanes, rows }: Registers) -> Self {
        let width = channels.next_multiple_of(lanes).next_multiple_of(rows);
        Self {
            channels,
            lanes,
            panel: (width / lanes).max(1),
            width,
        }
    }

    fn vectors(self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Where a vector begins in each of `tiles` rows of its panel, and how far apart these rows are.
    fn place(self, vector: usize, tiles: usize) -> (usize, usize) {
        let first = vector - vector % self.panel;
        let width = (self.panel * self.lanes).min(self.width - first * self.lanes);
        let start = first * self.lanes * tiles + vector % self.panel * self.lanes;
        (start, width)
    }
}

/// Tiles of 2×2 output pixels that are neighbours.
#[derive(Debug, Clone)]
struct Block {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Block {
    fn tiles(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

/// The tiles of a block, transformed.
struct Transformed<T: Real> {
    tiles: usize,
    /// `[places][panel][tiles, width of the panel]`
    input: Aligned<T>,
    /// `[places][tiles, width]`
    output: Aligned<T>,
}

impl<T: Real> WinogradGradient<'_, T> {
    /// Adds the gradient of the weight to `share`.
    pub(super) fn add_to(&self, share: &mut [T], threads: Threads) {
        let registers = Registers::of::<T>();
        let inputs = Layout::panels(self.inputs, registers.lanes);
        let outputs = Layout::rows(self.outputs, registers);
        let blocks = self.blocks();
        let size = outputs.width * inputs.width;
        let mut sums = Aligned::new(PLACES * size);
        sums.fill(T::zero());
        let multiply = |block: &Transformed<T>, place: usize, sums: &mut [T]| {
            dispatch(Multiply {
                block,
                place,
                inputs,
                outputs,
                sums,
            });
        };
        match threads {
            Threads::One => {
                for block in &blocks {
                    let block = self.transform(block, inputs, outputs);
                    for (place, sums) in sums.chunks_exact_mut(size).enumerate() {
                        multiply(&block, place, sums);
                    }
                }
            }
            Threads::All => {
                for blocks in blocks.chunks(BLOCKS) {
                    let blocks = blocks.par_iter();
                    let blocks: Vec<Transformed<T>> = blocks
                        .map(|block| self.transform(block, inputs, outputs))
                        .collect();
                    let places = sums.par_chunks_exact_mut(size).enumerate();
                    places.for_each(|(place, sums)| {
                        for block in &blocks {
                            multiply(block, place, sums);
                        }
                    });
                }
            }
        }
        dispatch(Finish {
            sums: &sums,
            size,
            inputs,
            share,
        });
    }

    fn blocks(&self) -> Vec<Block> {
        let (rows, columns) = (self.frame.height / 2, self.frame.width / 2);
        let wide = columns.clamp(1, COLUMNS);
        let high = TILES / wide;
        let mut blocks = Vec::new();
        for row in (0..rows).step_by(high) {
            for column in (0..columns).step_by(wide) {
                blocks.push(Block {
                    rows: row..rows.min(row + high),
                    columns: column..columns.min(column + wide),
                });
            }
        }
        blocks
    }

    fn transform(&self, block: &Block, inputs: Layout, outputs: Layout) -> Transformed<T> {
        let tiles = block.tiles();
        let mut transformed = Transformed {
            tiles,
            input: Aligned::new(PLACES * place_stride(inputs, tiles)),
            output: Aligned::new(PLACES * place_stride(outputs, tiles)),
        };
        dispatch(Transform {
            gradient: self,
            block,
            inputs,
            outputs,
            to: &mut transformed,
        });
        transformed
    }
}

/// From one place of transformed tiles to the next: not the size of the places alone, which is often a
/// power of two, so that they would compete for the same lines of the cache.
fn place_stride(layout: Layout, tiles: usize) -> usize {
    tiles * layout.width + layout.lanes
}

/// Adds the products of one place of a block.
struct Multiply<'a, T: Real> {
    block: &'a Transformed<T>,
    place: usize,
    inputs: Layout,
    outputs: Layout,
    /// `[rows of a tile][panel][rows, width of the panel]`
    sums: &'a mut [T],
}

impl<T: Real> WithSimd for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (tiles, inputs, outputs) = (self.block.tiles, self.inputs, self.outputs);
        let height = tile_rows::<S>();
        let input = &self.block.input[self.place * place_stride(inputs, tiles)..];
        let output = &self.block.output[self.place * place_stride(outputs, tiles)..];
        let mut rest = self.sums;
        for row in (0..outputs.width).step_by(height) {
            for vector in (0..inputs.vectors()).step_by(inputs.panel) {
                let (start, width) = inputs.place(vector, tiles);
                let (sums, others) = rest.split_at_mut(height * width);
                rest = others;
                let rows = Rows {
                    first: &output[row..],
                    stride: outputs.width,
                };
                let vectors = width / inputs.lanes;
                let panel = &input[start..];
                tile(simd, rows, panel, tiles, vectors, sums, Write::Add);
            }
        }
    }
}

/// Transforms the tiles of a block.
struct Transform<'a, 'b, T: Real> {
    gradient: &'a WinogradGradient<'b, T>,
    block: &'a Block,
    inputs: Layout,
    outputs: Layout,
    to: &'a mut Transformed<T>,
}

impl<T: Real> WithSimd for Transform<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let frame = self.gradient.frame;
        let (rows, columns) = (self.block.rows.len(), self.block.columns.len());
        let tiles = self.block.tiles();
        let first = 2 * (self.block.rows.start * frame.stride() + self.block.columns.start);
        let mut pixels = Aligned::new((2 * rows + 2) * (2 * columns + 2) * T::lanes::<S>());

        // A tile sees a row above its pixels and one below, a column on the left and one on the right.
        let above = frame.origin() - frame.stride() - 1;
        let window = Window {
            frame,
            planes: &self.gradient.input[above + first..],
            rows: 2 * rows + 2,
            columns: 2 * columns + 2,
        };
        for vector in 0..self.inputs.vectors() {
            window.turn(self.inputs, vector, &mut pixels);
            let (start, step) = self.inputs.place(vector, tiles);
            // SAFETY: the window holds the tiles' pixels, and each place has a row for every tile.
            unsafe {
                let to = Rows {
                    first: self.to.input[start..].as_mut_ptr(),
                    stride: place_stride(self.inputs, tiles),
                };
                transform_input::<T, S>(simd, &pixels, (rows, columns), to, step);
            }
        }

        let window = Window {
            frame,
            planes: &self.gradient.output[frame.origin() + first..],
            rows: 2 * rows,
            columns: 2 * columns,
        };
        for vector in 0..self.outputs.vectors() {
            window.turn(self.outputs, vector, &mut pixels);
            let (start, step) = self.outputs.place(vector, tiles);
            // SAFETY: as above.
            unsafe {
                let to = Rows {
                    first: self.to.output[start..].as_mut_ptr(),
                    stride: place_stride(self.outputs, tiles),
                };
                transform_output::<T, S>(simd, &pixels, (rows, columns), to, step);
            }
        }
    }
}

/// Neighbouring pixels of all planes.
struct Window<'a, T> {
    frame: Frame,
    /// From the first pixel on.
    planes: &'a [T],
    rows: usize,
    columns: usize,
}

impl<T: Real> Window<'_, T> {
    /// Writes the channels of a vector, side by side for every pixel; where there are fewer channels
    /// than lanes, the others stay what they are.
    #[inline(always)]
    fn turn(&self, layout: Layout, vector: usize, pixels: &mut [T]) {
        let (frame, lanes) = (self.frame, layout.lanes);
        let first = vector * lanes;
        let channels = lanes.min(layout.channels - first);
        let size = self.columns * lanes;
        for (row, pixels) in pixels.chunks_exact_mut(size).take(self.rows).enumerate() {
            let from = &self.planes[first * frame.plane() + row * frame.stride()..];
            assert!(from.len() >= (channels - 1) * frame.plane() + self.columns);
            let from = Rows {
                first: from.as_ptr(),
                stride: frame.plane(),
            };
            let to = Rows {
                first: pixels.as_mut_ptr(),
                stride: lanes,
            };
            // SAFETY: these pixels are in the planes, as asserted, and there is a vector for each.
            unsafe { T::transpose(from, (channels, self.columns), to, Write::Replace) };
        }
    }
}

/// `Bᵀ·d·B` of tiles of 4×4 pixels that overlap by two, `step` apart in each of the places.
///
/// # Safety
/// `pixels` holds two rows and two columns more than the tiles have, `to` a vector for each tile in each
/// place.
#[inline(always)]
unsafe fn transform_input<T: Real, S: Simd>(
    simd: S,
    pixels: &[T],
    (rows, columns): (usize, usize),
    to: Rows<*mut T>,
    step: usize,
) {
    let width = 2 * columns + 2;
    let pixels = pixels.as_ptr().cast::<T::Vector<S>>();
    for row in 0..rows {
        // SAFETY: as the caller vouches.
        unsafe {
            let pixels = pixels.add(2 * row * width);
            let mut left = [
                input_column::<T, S>(simd, pixels, width),
                input_column::<T, S>(simd, pixels.add(1), width),
            ];
            for column in 0..columns {
                let pixels = pixels.add(2 * column + 2);
                let right = [
                    input_column::<T, S>(simd, pixels, width),
                    input_column::<T, S>(simd, pixels.add(1), width),
                ];
                let ([a, b], [c, d]) = (left, right);
                let place = to.first.add((row * columns + column) * step);
                for i in 0..4 {
                    let line = input_line::<T, S>(simd, [a[i], b[i], c[i], d[i]]);
                    store::<T, S>(place, 4 * i, line, to.stride);
                }
                left = right;
            }
        }
    }
}

/// `Bᵀ·d` of a column of four pixels.
///
/// # Safety
/// `pixels` is valid for four rows.
#[inline(always)]
unsafe fn input_column<T: Real, S: Simd>(
    simd: S,
    pixels: *const T::Vector<S>,
    width: usize,
) -> [T::Vector<S>; 4] {
    // SAFETY: as the caller vouches.
    unsafe {
        let rows = [
            pixels.read_unaligned(),
            pixels.add(width).read_unaligned(),
            pixels.add(2 * width).read_unaligned(),
            pixels.add(3 * width).read_unaligned(),
        ];
        input_line::<T, S>(simd, rows)
    }
}

/// `A·y` of two numbers, the last one with the opposite sign, which [`kernel_line`] knows.
#[inline(always)]
fn output_line<T: Real, S: Simd>(simd: S, [a, b]: [T::Vector<S>; 2]) -> [T::Vector<S>; 4] {
    [
        a,
        <T as Lanes>::add(simd, a, b),
        <T as Lanes>::sub(simd, a, b),
        b,
    ]
}

/// `A·y·Aᵀ` of tiles of 2×2 pixels, `step` apart in each of the places.
///
/// # Safety
/// `pixels` holds the tiles, `to` a vector for each tile in each place.
#[inline(always)]
unsafe fn transform_output<T: Real, S: Simd>(
    simd: S,
    pixels: &[T],
    (rows, columns): (usize, usize),
    to: Rows<*mut T>,
    step: usize,
) {
    let width = 2 * columns;
    let pixels = pixels.as_ptr().cast::<T::Vector<S>>();
    for row in 0..rows {
        for column in 0..columns {
            // SAFETY: as the caller vouches.
            unsafe {
                let upper = pixels.add(2 * row * width + 2 * column);
                let lower = upper.add(width);
                let left = [upper.read_unaligned(), lower.read_unaligned()];
                let right = [upper.add(1).read_unaligned(), lower.add(1).read_unaligned()];
                let left = output_line::<T, S>(simd, left);
                let right = output_line::<T, S>(simd, right);
                let place = to.first.add((row * columns + column) * step);
                for i in 0..4 {
                    let line = output_line::<T, S>(simd, [left[i], right[i]]);
                    store::<T, S>(place, 4 * i, line, to.stride);
                }
            }
        }
    }
}

/// Writes the vectors of four places.
///
/// # Safety
/// `to` is valid for a vector in each of these places, `stride` apart.
#[inline(always)]
unsafe fn store<T: Real, S: Simd>(
    to: *mut T,
    place: usize,
    line: [T::Vector<S>; 4],
    stride: usize,
) {
    for (i, x) in line.into_iter().enumerate() {
        // SAFETY: as the caller vouches.
        unsafe {
            let to = to.add((place + i) * stride);
            to.cast::<T::Vector<S>>().write_unaligned(x);
        }
    }
}

/// Takes the sums of the places to the gradient of the weight.
struct Finish<'a, T> {
    /// `[places][rows of a tile][panel][rows, width of the panel]`
    sums: &'a [T],
    /// Numbers of a place.
    size: usize,
    inputs: Layout,
    /// `[outputs, inputs, 3, 3]`
    share: &'a mut [T],
}

impl<T: Real> WithSimd for Finish<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Registers { rows, lanes } = Registers::of::<T>();
        let Layout { channels, .. } = self.inputs;
        let width = self.inputs.width;
        let mut taps = Aligned::new(TAPS * width);
        let outputs = self.share.chunks_exact_mut(channels * TAPS);
        for (output, share) in outputs.enumerate() {
            for vector in 0..self.inputs.vectors() {
                let (start, step) = self.inputs.place(vector, rows);
                let first = output / rows * rows * width + start + output % rows * step;
                let sums = &self.sums[first..];
                assert!(sums.len() >= (PLACES - 1) * self.size + lanes);
                assert!(taps.len() >= (TAPS - 1) * width + (vector + 1) * lanes);
                // SAFETY: the sums of all places and the taps are there, as asserted.
                unsafe {
                    let to = Rows {
                        first: taps[vector * lanes..].as_mut_ptr(),
                        stride: width,
                    };
                    transform_sums::<T, S>(simd, sums, self.size, to);
                }
            }
            let from = Rows {
                first: taps.as_ptr(),
                stride: width,
            };
            let to = Rows {
                first: share.as_mut_ptr(),
                stride: TAPS,
            };
            // SAFETY: a number for every tap of every channel, and room for it.
            unsafe { T::transpose(from, (TAPS, channels), to, Write::Add) };
        }
    }
}

/// `Gᵀ·m` of four numbers, of which the last has the opposite sign.
#[inline(always)]
fn kernel_line<T: Real, S: Simd>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 3] {
    let half = T::splat(simd, T::of(0.5));
    let sum = <T as Lanes>::add(simd, b, c);
    let difference = <T as Lanes>::sub(simd, b, c);
    [
        T::mul_add(simd, half, sum, a),
        T::mul_add(simd, half, difference, T::splat(simd, T::zero())),
        <T as Lanes>::sub(
            simd,
            T::mul_add(simd, half, sum, T::splat(simd, T::zero())),
            d,
        ),
    ]
}

/// `Gᵀ·m·G` of a vector of channels.
///
/// # Safety
/// `sums` holds a vector in each of the places, `size` apart, and `to` has room for one in each of nine
/// rows.
#[inline(always)]
unsafe fn transform_sums<T: Real, S: Simd>(simd: S, sums: &[T], size: usize, to: Rows<*mut T>) {
    let zero = T::splat(simd, T::zero());
    let mut columns = [[zero; 3]; 4];
    for (i, column) in columns.iter_mut().enumerate() {
        let mut places = [zero; 4];
        for (row, place) in places.iter_mut().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe {
                let from = sums.as_ptr().add((4 * row + i) * size);
                *place = from.cast::<T::Vector<S>>().read_unaligned();
            }
        }
        *column = kernel_line::<T, S>(simd, places);
    }
    let [a, b, c, d] = columns;
    for row in 0..3 {
        let line = kernel_line::<T, S>(simd, [a[row], b[row], c[row], d[row]]);
        for (column, x) in line.into_iter().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe {
                let to = to.first.add((3 * row + column) * to.stride);
                to.cast::<T::Vector<S>>().write_unaligned(x);
            }
        }
    }
}
