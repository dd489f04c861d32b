//! Convolutions with kernels of 3×3 on [`Frame`]s by minimal filtering, `F(2×2, 3×3)` of Lavin and Gray
//! 2015, *Fast Algorithms for Convolutional Neural Networks*, <https://arxiv.org/abs/1509.09308>: tiles of
//! 4×4 pixels and the kernels are transformed, multiplied channel by channel for each of 16 places, and
//! transformed back to 2×2 pixels. That takes 16 products where the definition takes 36.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::frame::Frame;
use super::kernel::KernelShape;
use crate::cpu::{
    Aligned, Lanes, PANEL_VECTORS, Real, Registers, Rows, Shared, Threads, Write, dispatch,
    min_chunks, tile, tile_rows,
};

/// Pixels of a transformed tile.
pub(super) const PLACES: usize = 16;
/// Input and output channels for which transforms pay.
pub(super) const CHANNELS: usize = 16;

/// A kernel, transformed.
#[derive(Debug)]
pub(super) struct Winograd<T: Real> {
    frame: Frame,
    inputs: usize,
    outputs: usize,
    /// `[outputs / rows, places, inputs, rows]` for tiles of so many rows.
    kernels: Aligned<T>,
}

/// Whether a convolution can be computed, and is faster, this way.
pub(super) fn fits<T: Real>(frame: Frame, shape: KernelShape) -> bool {
    let lanes = Registers::of::<T>().lanes;
    let columns = frame.width / 2;
    let filled = 4 * columns >= 3 * vectors_of_row(frame, lanes) * lanes;
    let even = frame.height.is_multiple_of(2) && frame.width.is_multiple_of(2);
    (shape.height, shape.width, shape.dilation) == (3, 3, 1)
        && even
        && filled
        && shape.inputs >= CHANNELS
        && shape.outputs >= CHANNELS
}

impl<T: Real> Winograd<T> {
    /// `weight` gives a tap, counted along the input channels and rows, for an output channel.
    pub(super) fn new(
        frame: Frame,
        (outputs, inputs): (usize, usize),
        weight: impl Fn(usize, usize) -> T + Sync,
    ) -> Self {
        let rows = Registers::of::<T>().rows;
        let panel = PLACES * inputs * rows;
        let mut kernels = Aligned::new(outputs.div_ceil(rows) * panel);
        let panels = kernels.par_chunks_mut(panel).enumerate();
        panels
            .with_min_len(min_chunks(panel))
            .for_each(|(i, kernels)| {
                kernels.fill(T::zero());
                for output in i * rows..outputs.min((i + 1) * rows) {
                    for input in 0..inputs {
                        let taps = std::array::from_fn(|tap| weight(output, input * 9 + tap));
                        for (place, x) in transformed_kernel(taps).into_iter().enumerate() {
                            kernels[(place * inputs + input) * rows + output % rows] = x;
                        }
                    }
                }
            });
        Self {
            frame,
            inputs,
            outputs,
            kernels,
        }
    }

    /// Convolves framed planes `[inputs]` to planes `[outputs]` without a border.
    pub(super) fn convolve(&self, input: &[T], output: &mut [T], write: Write, threads: Threads) {
        let Registers {
            lanes,
            vectors: most,
            ..
        } = Registers::of::<T>();
        let vectors = self.frame.height / 2 * vectors_of_row(self.frame, lanes);
        let output = Shared(output.as_mut_ptr());
        let group = |first: usize| {
            dispatch(Group {
                convolution: self,
                input,
                output,
                write,
                vectors: first..vectors.min(first + most),
            });
        };
        let firsts = (0..vectors).step_by(most);
        match threads {
            Threads::One => firsts.for_each(group),
            Threads::All => firsts.collect::<Vec<_>>().into_par_iter().for_each(group),
        }
    }
}

/// Vectors of tiles of 2×2 pixels in a row.
fn vectors_of_row(frame: Frame, lanes: usize) -> usize {
    (frame.width / 2).div_ceil(lanes)
}

/// `G·g·Gᵀ`
fn transformed_kernel<T: Real>(taps: [T; 9]) -> [T; PLACES] {
    let half = T::of(0.5);
    let line = |[a, b, c]: [T; 3]| [a, (a + b + c) * half, (a - b + c) * half, c];
    let rows: [[T; 3]; 3] = std::array::from_fn(|i| [taps[i], taps[3 + i], taps[6 + i]]);
    let columns = rows.map(line);
    let mut result = [T::zero(); PLACES];
    for i in 0..4 {
        let row = line([columns[0][i], columns[1][i], columns[2][i]]);
        result[4 * i..][..4].copy_from_slice(&row);
    }
    result
}

/// Some vectors of tiles, counted along the rows.
struct Group<'a, T: Real> {
    convolution: &'a Winograd<T>,
    input: &'a [T],
    output: Shared<T>,
    write: Write,
    vectors: Range<usize>,
}

impl<T: Real> WithSimd for Group<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let &Winograd {
            frame,
            inputs,
            outputs,
            ref kernels,
        } = self.convolution;
        let (rows, lanes) = (tile_rows::<S>(), T::lanes::<S>());
        let width = self.vectors.len() * lanes;
        // Row and column of the first tile of each vector.
        let mut vectors = [(0, 0); PANEL_VECTORS];
        let in_row = vectors_of_row(frame, lanes);
        for (place, vector) in vectors.iter_mut().zip(self.vectors.clone()) {
            *place = (vector / in_row, vector % in_row * lanes);
        }
        let vectors = &vectors[..self.vectors.len()];
        let mut panels = Aligned::<T>::new(PLACES * inputs * width);
        for channel in 0..inputs {
            for (v, &(row, column)) in vectors.iter().enumerate() {
                let top = 2 * row + frame.rows - 1;
                let left = 2 * column + frame.columns - 1;
                let first = channel * frame.plane() + top * frame.stride() + left;
                // SAFETY: the first pixel of the tiles is in the frame; of the last tiles in a row the
                // vectors reach less than three vectors over the last pixel, for which `Frame::len`
                // keeps room behind the last plane. Each place of the panels has `inputs · width`
                // numbers.
                unsafe {
                    let from = Rows {
                        first: self.input.as_ptr().add(first),
                        stride: frame.stride(),
                    };
                    let to = Rows {
                        first: panels.as_mut_ptr().add(channel * width + v * lanes),
                        stride: inputs * width,
                    };
                    transform_input::<T, S>(simd, from, to);
                }
            }
        }
        let mut products = Aligned::<T>::new(PLACES * rows * width);
        let kernels = kernels.chunks_exact(PLACES * inputs * rows);
        for (first, kernels) in (0..outputs).step_by(rows).zip(kernels) {
            let kernels = kernels.chunks_exact(inputs * rows);
            let places = kernels.zip(panels.chunks_exact(inputs * width));
            for ((kernel, panel), products) in places.zip(products.chunks_exact_mut(rows * width)) {
                let kernel = Rows {
                    first: kernel,
                    stride: rows,
                };
                let vectors = self.vectors.len();
                tile(
                    simd,
                    kernel,
                    panel,
                    inputs,
                    vectors,
                    products,
                    Write::Replace,
                );
            }
            for channel in first..outputs.min(first + rows) {
                for (v, &(row, column)) in vectors.iter().enumerate() {
                    let from = Rows {
                        first: products[(channel - first) * width + v * lanes..].as_ptr(),
                        stride: rows * width,
                    };
                    // SAFETY: the products have so many places.
                    let pixels = unsafe { transform_output::<T, S>(simd, from) };
                    for (line, pixels) in pixels.into_iter().enumerate() {
                        let row = channel * frame.height + 2 * row + line;
                        let count = (2 * lanes).min(frame.width - 2 * column);
                        // SAFETY: pixels of a row that nobody else writes to.
                        unsafe {
                            let to = self.output.0.add(row * frame.width + 2 * column);
                            self.store::<S>(simd, pixels, to, count);
                        }
                    }
                }
            }
        }
    }
}

impl<T: Real> Group<'_, T> {
    /// # Safety
    /// `to` is valid for `count` numbers, which are at most two vectors.
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, simd: S, pixels: [T::Vector<S>; 2], to: *mut T, count: usize) {
        if count == 2 * T::lanes::<S>() {
            let to = to.cast::<[T::Vector<S>; 2]>();
            // SAFETY: two whole vectors, as the caller vouches.
            unsafe {
                let pixels = match self.write {
                    Write::Replace => pixels,
                    Write::Add => {
                        let ([a, b], [c, d]) = (to.read_unaligned(), pixels);
                        [<T as Lanes>::add(simd, a, c), <T as Lanes>::add(simd, b, d)]
                    }
                };
                to.write_unaligned(pixels);
            }
            return;
        }
        let pixels = (&raw const pixels).cast::<T>();
        for i in 0..count {
            // SAFETY: as the caller vouches.
            unsafe {
                *to.add(i) = match self.write {
                    Write::Replace => *pixels.add(i),
                    Write::Add => *to.add(i) + *pixels.add(i),
                };
            }
        }
    }
}

// What follows is written without closures: a closure inside a function of the standard library is not
// compiled for the instruction set at hand.

/// `Bᵀ·d` of four numbers.
#[inline(always)]
pub(super) fn input_line<T: Real, S: Simd>(
    simd: S,
    [a, b, c, d]: [T::Vector<S>; 4],
) -> [T::Vector<S>; 4] {
    [
        <T as Lanes>::sub(simd, a, c),
        <T as Lanes>::add(simd, b, c),
        <T as Lanes>::sub(simd, c, b),
        <T as Lanes>::sub(simd, b, d),
    ]
}

/// `Aᵀ·m` of four numbers.
#[inline(always)]
fn output_line<T: Real, S: Simd>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 2] {
    [
        <T as Lanes>::add(simd, <T as Lanes>::add(simd, a, b), c),
        <T as Lanes>::sub(simd, <T as Lanes>::sub(simd, b, c), d),
    ]
}

/// `Bᵀ·d·B` of a vector of tiles beside each other, which overlap by two pixels.
///
/// # Safety
/// `from` is valid for two vectors and two more numbers in each of four rows, `to` for a vector in each
/// of 16.
#[inline(always)]
unsafe fn transform_input<T: Real, S: Simd>(simd: S, from: Rows<*const T>, to: Rows<*mut T>) {
    let zero = T::splat(simd, T::zero());
    // Of every row of the tiles, the pixels of each column.
    let mut rows = [[zero; 4]; 4];
    for (i, row) in rows.iter_mut().enumerate() {
        // SAFETY: as the caller vouches.
        unsafe {
            let from = from.first.add(i * from.stride);
            let left = from.cast::<[T::Vector<S>; 2]>().read_unaligned();
            let right = from.add(2).cast::<[T::Vector<S>; 2]>().read_unaligned();
            [row[0], row[1]] = T::unzip(simd, left);
            [row[2], row[3]] = T::unzip(simd, right);
        }
    }
    let mut columns = [[zero; 4]; 4];
    for (i, column) in columns.iter_mut().enumerate() {
        *column = input_line::<T, S>(simd, [rows[0][i], rows[1][i], rows[2][i], rows[3][i]]);
    }
    for row in 0..4 {
        let [a, b, c, d] = columns;
        let line = input_line::<T, S>(simd, [a[row], b[row], c[row], d[row]]);
        for (column, x) in line.into_iter().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe {
                let to = to.first.add((4 * row + column) * to.stride);
                to.cast::<T::Vector<S>>().write_unaligned(x);
            }
        }
    }
}

/// `Aᵀ·m·A` of a vector of tiles beside each other: two rows of pixels.
///
/// # Safety
/// `from` is valid for a vector in each of 16 rows.
#[inline(always)]
unsafe fn transform_output<T: Real, S: Simd>(
    simd: S,
    from: Rows<*const T>,
) -> [[T::Vector<S>; 2]; 2] {
    let zero = T::splat(simd, T::zero());
    let mut columns = [[zero; 2]; 4];
    for (i, column) in columns.iter_mut().enumerate() {
        let mut places = [zero; 4];
        for (row, place) in places.iter_mut().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe {
                let from = from.first.add((4 * row + i) * from.stride);
                *place = from.cast::<T::Vector<S>>().read_unaligned();
            }
        }
        *column = output_line::<T, S>(simd, places);
    }
    let [a, b, c, d] = columns;
    let upper = output_line::<T, S>(simd, [a[0], b[0], c[0], d[0]]);
    let lower = output_line::<T, S>(simd, [a[1], b[1], c[1], d[1]]);
    [T::zip(simd, upper), T::zip(simd, lower)]
}
