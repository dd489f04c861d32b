//! Convolutions on [`Frame`]s whose vectors are output channels: the weights of a tap are aligned
//! vectors, a pixel is broadcast, and no load lies across two cache lines. For as many output
//! channels as a vector has elements, or more.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::frame::Frame;
use crate::cpu::{Aligned, Real, Registers, Rows, Shared, Write};

/// Pixels that are computed before they are written to their planes.
const SEGMENT: usize = 192;

/// Some rows of one or two panels of output channels.
pub(super) struct Tiles<'a, T> {
    pub(super) frame: Frame,
    pub(super) input: &'a [T],
    pub(super) output: Shared<T>,
    pub(super) write: Write,
    /// Of one or two panels, one after the other: `[panel, taps, lanes]`.
    pub(super) weights: &'a [T],
    /// Where each tap lies, from the output pixel's place on.
    pub(super) offsets: &'a [usize],
    pub(super) channels: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl<T: Real> WithSimd for Tiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let two = self.channels.len() > T::lanes::<S>();
        // Sums, weights and one pixel have to fit into the registers.
        match (S::REGISTER_COUNT >= 32, two) {
            (true, true) => self.run::<S, 2, 12, 8, 4>(simd),
            (true, false) => self.run::<S, 1, 24, 16, 8>(simd),
            (false, true) => self.run::<S, 2, 6, 4, 2>(simd),
            (false, false) => self.run::<S, 1, 12, 8, 4>(simd),
        }
    }
}

impl<T: Real> Tiles<'_, T> {
    /// With tiles of `LARGE` pixels, and smaller ones where a row ends.
    #[inline(always)]
    fn run<
        S: Simd,
        const PANELS: usize,
        const LARGE: usize,
        const MEDIUM: usize,
        const SMALL: usize,
    >(
        &self,
        simd: S,
    ) {
        let mut pixels = Aligned::new((SEGMENT + LARGE) * PANELS * T::lanes::<S>());
        for row in self.rows.clone() {
            for first in (0..self.frame.width).step_by(SEGMENT) {
                let count = SEGMENT.min(self.frame.width - first);
                let mut done = 0;
                while done < count {
                    let start = row * self.frame.stride() + first + done;
                    let pixels = &mut pixels[done * PANELS * T::lanes::<S>()..];
                    done += match count - done {
                        rest if rest > MEDIUM => self.tile::<S, PANELS, LARGE>(simd, start, pixels),
                        rest if rest > SMALL => self.tile::<S, PANELS, MEDIUM>(simd, start, pixels),
                        _ => self.tile::<S, PANELS, SMALL>(simd, start, pixels),
                    };
                }
                self.store(&pixels, PANELS * T::lanes::<S>(), row, first, count);
            }
        }
    }

    /// So many pixels from `start` on: `[pixels, channels]`.
    #[inline(always)]
    fn tile<S: Simd, const PANELS: usize, const PIXELS: usize>(
        &self,
        simd: S,
        start: usize,
        pixels: &mut [T],
    ) -> usize {
        assert!(pixels.len() >= PIXELS * PANELS * T::lanes::<S>());
        let panel = self.offsets.len();
        let mut sums = [[T::splat(simd, T::zero()); PANELS]; PIXELS];
        // SAFETY: there is a vector of weights for every tap of every panel. `start` is a pixel's
        // place, which its taps are inside the frame of; the tile reaches less than two vectors over
        // the last pixel of a row, for which `Frame::len` keeps room behind the last plane. The tile
        // has room in `pixels`, as asserted.
        unsafe {
            let weights = self.weights.as_ptr().cast::<T::Vector<S>>();
            let input = self.input.as_ptr().add(start);
            for (tap, &offset) in self.offsets.iter().enumerate() {
                let mut vectors = [T::splat(simd, T::zero()); PANELS];
                for (i, vector) in vectors.iter_mut().enumerate() {
                    *vector = weights.add(i * panel + tap).read_unaligned();
                }
                let input = input.add(offset);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let pixel = T::splat(simd, *input.add(i));
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = T::mul_add(simd, pixel, vector, *sum);
                    }
                }
            }
            let pixels = pixels.as_mut_ptr().cast::<[T::Vector<S>; PANELS]>();
            for (i, sums) in sums.into_iter().enumerate() {
                pixels.add(i).write_unaligned(sums);
            }
        }
        PIXELS
    }

    /// Writes `[pixels, width]` to the planes of the channels.
    #[inline(always)]
    fn store(&self, pixels: &[T], width: usize, row: usize, first: usize, count: usize) {
        let plane = self.frame.height * self.frame.width;
        let start = self.channels.start * plane + row * self.frame.width + first;
        // SAFETY: `count` pixels of a row of every channel; nobody else writes to these channels in
        // these rows.
        unsafe {
            let from = Rows {
                first: pixels.as_ptr(),
                stride: width,
            };
            let to = Rows {
                first: self.output.0.add(start),
                stride: plane,
            };
            T::transpose(from, (count, self.channels.len()), to, self.write);
        }
    }
}

/// Products that an output pixel needs at least, for the turn from pixels to planes to be worth it.
const TAPS: usize = 96;

/// Elements of a vector where vectors of output channels are worth it: they have to be well filled.
pub(super) fn lanes<T: Real>(channels: usize, taps: usize) -> Option<usize> {
    let lanes = Registers::of::<T>().lanes;
    let filled = 4 * channels >= 3 * channels.next_multiple_of(lanes);
    (lanes > 1 && filled && taps >= TAPS).then_some(lanes)
}
