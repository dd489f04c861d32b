//! The gradient of a weight on [`Frame`]s with vectors of pixels, whose elements are summed in the end.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::frame::Frame;
use crate::cpu::{Real, tile_rows};

/// Taps in a tile.
const TAPS: usize = 3;
/// Pixels that are summed at a time: their planes stay in the second-level cache.
const BLOCK: usize = 8192;

/// The sums over pixels of one panel of output channels times every tap of every input channel.
pub(super) struct Correlation<'a, T> {
    pub(super) frame: Frame,
    pub(super) input: &'a [T],
    pub(super) output: &'a [T],
    pub(super) offsets: &'a [usize],
    /// `[channels of the panel, taps]`
    pub(super) share: &'a mut [T],
}

impl<T: Real> WithSimd for Correlation<'_, T> {
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

impl<T: Real> Correlation<'_, T> {
    #[inline(always)]
    fn run<S: Simd, const CHANNELS: usize>(self, simd: S) {
        let taps = self.offsets.len();
        let channels = self.share.len() / taps;
        let run = self.frame.run();
        for block in (0..run).step_by(BLOCK) {
            let pixels = block..run.min(block + BLOCK);
            for first in (0..channels).step_by(CHANNELS) {
                for tap in (0..taps).step_by(TAPS) {
                    let sums = self.tile::<S, CHANNELS>(simd, first, channels, tap, pixels.clone());
                    let rows = self.share[first * taps..].chunks_mut(taps);
                    for (row, sums) in rows.zip(&sums) {
                        for (share, sum) in row[tap..].iter_mut().zip(sums) {
                            *share += T::reduce_sum(simd, *sum);
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const CHANNELS: usize>(
        &self,
        simd: S,
        first: usize,
        channels: usize,
        tap: usize,
        pixels: Range<usize>,
    ) -> [[T::Vector<S>; TAPS]; CHANNELS] {
        let mut sums = [[T::splat(simd, T::zero()); TAPS]; CHANNELS];
        let mut inputs = [self.input.as_ptr(); TAPS];
        let mut outputs = [self.output.as_ptr(); CHANNELS];
        // SAFETY: where channels or taps end inside the tile, the last ones are computed again and
        // thrown away. Offsets lead to taps of the first pixel, and the loop below moves on from it
        // by less than `Frame::run`, up to a vector over the last pixel: there `Frame::len` keeps
        // zeros.
        unsafe {
            for (i, input) in inputs.iter_mut().enumerate() {
                *input = input.add(self.offsets[(tap + i).min(self.offsets.len() - 1)]);
            }
            for (i, output) in outputs.iter_mut().enumerate() {
                let channel = (first + i).min(channels - 1);
                *output = output.add(channel * self.frame.plane() + self.frame.origin());
            }
            for pixel in pixels.step_by(T::lanes::<S>()) {
                let mut taps = [T::splat(simd, T::zero()); TAPS];
                for (tap, input) in taps.iter_mut().zip(inputs) {
                    *tap = input.add(pixel).cast::<T::Vector<S>>().read_unaligned();
                }
                for (sums, output) in sums.iter_mut().zip(outputs) {
                    let output = output.add(pixel).cast::<T::Vector<S>>().read_unaligned();
                    for (sum, tap) in sums.iter_mut().zip(taps) {
                        *sum = T::mul_add(simd, output, tap, *sum);
                    }
                }
            }
        }
        sums
    }
}
