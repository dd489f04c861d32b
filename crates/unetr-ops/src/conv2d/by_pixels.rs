//! Convolutions on [`Frame`](super::frame::Frame)s whose vectors are pixels: a run of pixels times a
//! tap's weight is a vector operation on unaligned neighbours, across the ends of rows as well; what
//! falls on the border is computed and thrown away. For any number of output channels.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::direct::{Direct, PANEL};
use crate::cpu::{Real, Shared, Write, tile_rows};

/// Vectors of pixels in a tile.
const VECTORS: usize = 2;

/// One panel of output channels in some rows.
pub(super) struct Tiles<'a, T: Real> {
    pub(super) kernel: &'a Direct<T>,
    pub(super) input: &'a [T],
    pub(super) output: Shared<T>,
    pub(super) write: Write,
    pub(super) panel: usize,
    pub(super) rows: Range<usize>,
}

impl<T: Real> WithSimd for Tiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if tile_rows::<S>() == 8 {
            self.run::<S, 8>(simd);
        } else {
            self.run::<S, 4>(simd);
        }
    }
}

impl<T: Real> Tiles<'_, T> {
    #[inline(always)]
    fn run<S: Simd, const CHANNELS: usize>(&self, simd: S) {
        let kernel = self.kernel;
        let frame = kernel.frame;
        let step = VECTORS * T::lanes::<S>();
        let start = self.rows.start * frame.stride();
        let end = (self.rows.end - 1) * frame.stride() + frame.width;
        for first in (0..PANEL).step_by(CHANNELS) {
            let channel = self.panel * PANEL + first;
            if channel >= kernel.outputs {
                break;
            }
            let count = CHANNELS.min(kernel.outputs - channel);
            for position in (start..end).step_by(step) {
                let tile = self.tile::<S, CHANNELS>(simd, first, position);
                let last = end.min(position + step);
                self.store::<S, CHANNELS>(&tile, channel, count, position..last);
            }
        }
    }

    /// Some channels by some pixels from `position` on.
    #[inline(always)]
    fn tile<S: Simd, const CHANNELS: usize>(
        &self,
        simd: S,
        first: usize,
        position: usize,
    ) -> [[T::Vector<S>; VECTORS]; CHANNELS] {
        let offsets = &self.kernel.offsets;
        let panel = &self.kernel.panels[self.panel * offsets.len() * PANEL..][first..];
        let mut sums = [[T::splat(simd, T::zero()); VECTORS]; CHANNELS];
        for (tap, &offset) in offsets.iter().enumerate() {
            // SAFETY: `position` is less than `Frame::run`, `offset` at most a plane's last tap;
            // together with the two vectors they stay inside the buffer, of which `Frame::len` keeps
            // more behind the last pixel than they reach over it. `panel` has PANEL weights a tap.
            unsafe {
                let pixels = self.input.as_ptr().add(position + offset);
                let weights = panel.as_ptr().add(tap * PANEL);
                let pixels: [T::Vector<S>; VECTORS] = [
                    pixels.cast::<T::Vector<S>>().read_unaligned(),
                    pixels.cast::<T::Vector<S>>().add(1).read_unaligned(),
                ];
                for (channel, sums) in sums.iter_mut().enumerate() {
                    let weight = T::splat(simd, *weights.add(channel));
                    for (sum, pixels) in sums.iter_mut().zip(pixels) {
                        *sum = T::mul_add(simd, weight, pixels, *sum);
                    }
                }
            }
        }
        sums
    }

    /// Writes a tile's pixels to their places, without those on the border.
    #[inline(always)]
    fn store<S: Simd, const CHANNELS: usize>(
        &self,
        tile: &[[T::Vector<S>; VECTORS]; CHANNELS],
        channel: usize,
        count: usize,
        positions: Range<usize>,
    ) {
        let frame = self.kernel.frame;
        let pixels = frame.height * frame.width;
        let mut position = positions.start;
        while position < positions.end {
            let (y, x) = (position / frame.stride(), position % frame.stride());
            if x >= frame.width {
                position += frame.stride() - x;
                continue;
            }
            let length = (frame.width - x).min(positions.end - position);
            let from = position - positions.start;
            for (i, sums) in tile.iter().take(count).enumerate() {
                let index = (channel + i) * pixels + y * frame.width + x;
                // SAFETY: a tile's row is VECTORS vectors of T, of which `from + length` are used;
                // the output has `outputs · height · width` elements, and nobody else writes to
                // this channel in these rows.
                unsafe {
                    let from = sums.as_ptr().cast::<T>().add(from);
                    let to = self.output.0.add(index);
                    match self.write {
                        Write::Replace => std::ptr::copy_nonoverlapping(from, to, length),
                        Write::Add => {
                            for i in 0..length {
                                *to.add(i) += *from.add(i);
                            }
                        }
                    }
                }
            }
            position += length;
        }
    }
}
