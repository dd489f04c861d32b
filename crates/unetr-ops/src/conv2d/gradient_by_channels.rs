//! The gradient of a weight on [`Frame`]s with vectors of output channels: what `by_channels` is to
//! the convolution. Rows of the gradient of the output are turned into one vector for every pixel,
//! which is multiplied with the pixels that the taps see.

use pulp::{Simd, WithSimd};

use super::frame::Frame;
use crate::cpu::{Aligned, Lanes, Real, Rows, Write, tile_rows};

/// Pixels that are summed at a time; their vectors stay in the second-level cache.
const BLOCK: usize = 2048;

/// The gradient of the weights of one panel of output channels, for a kernel of `WIDTH` columns that
/// are neighbours.
pub(super) struct Correlation<'a, T, const WIDTH: usize> {
    pub(super) frame: Frame,
    pub(super) input: &'a [T],
    /// The framed planes of the panel's channels.
    pub(super) output: &'a [T],
    /// Where the first tap of each row of the kernel in each input channel lies, from the output
    /// pixel's place on.
    pub(super) offsets: &'a [usize],
    /// `[channels of the panel, offsets, WIDTH]`
    pub(super) share: &'a mut [T],
}

impl<T: Real, const WIDTH: usize> WithSimd for Correlation<'_, T, WIDTH> {
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

impl<T: Real, const WIDTH: usize> Correlation<'_, T, WIDTH> {
    /// With tiles of `ROWS` rows of the kernel.
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let (frame, lanes) = (self.frame, T::lanes::<S>());
        let taps = self.offsets.len() * WIDTH;
        let channels = self.share.len() / taps;
        let block = (BLOCK / frame.width).clamp(1, frame.height);
        let mut vectors = Aligned::new(block * frame.width * lanes);
        vectors.fill(T::zero());
        let mut sums = Aligned::new(taps.next_multiple_of(WIDTH * ROWS) * lanes);
        sums.fill(T::zero());
        for first in (0..frame.height).step_by(block) {
            let count = block.min(frame.height - first);
            for row in 0..count {
                let pixel = frame.origin() + (first + row) * frame.stride();
                // SAFETY: a row of pixels of every channel, and room for their vectors, of which
                // there are at most as many channels as elements.
                unsafe {
                    let from = Rows {
                        first: self.output[pixel..].as_ptr(),
                        stride: frame.plane(),
                    };
                    let to = Rows {
                        first: vectors[row * frame.width * lanes..].as_mut_ptr(),
                        stride: lanes,
                    };
                    T::transpose(from, (channels, frame.width), to, Write::Replace);
                }
            }
            let tiles = sums.chunks_exact_mut(ROWS * WIDTH * lanes);
            for (offsets, sums) in self.offsets.chunks(ROWS).zip(tiles) {
                self.tile::<S, ROWS>(
                    simd,
                    offsets,
                    first,
                    &vectors[..count * frame.width * lanes],
                    sums,
                );
            }
        }
        let from = Rows {
            first: sums.as_ptr(),
            stride: lanes,
        };
        let to = Rows {
            first: self.share.as_mut_ptr(),
            stride: taps,
        };
        // SAFETY: a sum for every channel and tap, and room for it.
        unsafe { T::transpose(from, (taps, channels), to, Write::Add) };
    }

    /// Adds the products of the vectors with the pixels that some rows of the kernel see; in the
    /// first rows of the frame, from `first` on.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        offsets: &[usize],
        first: usize,
        vectors: &[T],
        sums: &mut [T],
    ) {
        let (frame, lanes) = (self.frame, T::lanes::<S>());
        assert_eq!(sums.len(), ROWS * WIDTH * lanes);
        let mut tile = [[T::splat(simd, T::zero()); WIDTH]; ROWS];
        let mut inputs = [self.input.as_ptr(); ROWS];
        // SAFETY: where the rows of the kernel end inside the tile, the last one is computed again
        // and thrown away. Offsets lead to taps of the first pixel; the loops move on from it over
        // the pixels of the frame, whose taps are all inside of it. `sums` has room for the tile.
        unsafe {
            for (i, input) in inputs.iter_mut().enumerate() {
                let offset = offsets[i.min(offsets.len() - 1)];
                *input = input.add(offset + first * frame.stride());
            }
            for row in vectors.chunks_exact(frame.width * lanes) {
                let vectors = row.as_ptr().cast::<T::Vector<S>>();
                for pixel in 0..frame.width {
                    let vector = vectors.add(pixel).read_unaligned();
                    for (sums, input) in tile.iter_mut().zip(inputs) {
                        for (column, sum) in sums.iter_mut().enumerate() {
                            let pixel = T::splat(simd, *input.add(pixel + column));
                            *sum = T::mul_add(simd, pixel, vector, *sum);
                        }
                    }
                }
                for input in &mut inputs {
                    *input = input.add(frame.stride());
                }
            }
            let sums = sums.as_mut_ptr().cast::<T::Vector<S>>();
            for (i, &sum) in tile.as_flattened().iter().enumerate() {
                let before = sums.add(i).read_unaligned();
                sums.add(i)
                    .write_unaligned(<T as Lanes>::add(simd, before, sum));
            }
        }
    }
}
