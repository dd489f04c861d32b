//! From pixels to transformed tiles.

use pulp::{Simd, WithSimd};

use super::{Block, Layout, Transformed, WinogradGradient, place_stride};
use crate::conv2d::frame::Frame;
use crate::conv2d::winograd::input_line;
use crate::cpu::{Aligned, Lanes, Real, Rows, Write};

/// Transforms the tiles of a block.
pub(super) struct Transform<'a, 'b, T: Real> {
    pub(super) gradient: &'a WinogradGradient<'b, T>,
    pub(super) block: &'a Block,
    pub(super) inputs: Layout,
    pub(super) outputs: Layout,
    pub(super) to: &'a mut Transformed<T>,
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

/// `A·y` of two numbers, the last one with the opposite sign, which `finish` knows.
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
