//! Convolutions of stride 1 that keep the resolution, without laying out patches.
//!
//! In a [`Frame`] every tap of the kernel is a constant distance away, so that a run of pixels times
//! a tap's weight is a vector operation on unaligned neighbours, across the ends of rows as well;
//! what falls on the border is computed and thrown away. The output is a register tile of channels
//! by pixels; the gradient of the input is the same with the kernel turned round.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::by_channels;
use super::frame::Frame;
use crate::cpu::{Aligned, Real, Threads, Write, dispatch};

/// Output channels whose weights lie together.
pub(super) const PANEL: usize = 8;
/// Vectors of pixels in a tile.
const VECTORS: usize = 2;
/// Elements of the framed planes that one strip of pixels reads; they stay in the second-level
/// cache.
const STRIP: usize = 64 * 1024;

/// A kernel `[outputs, inputs, height, width]` of odd height and width, ready for use.
#[derive(Debug)]
pub(crate) struct Kernel<T: Real> {
    frame: Frame,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Elements of a vector, if vectors are output channels and not pixels.
    lanes: Option<usize>,
    /// `[outputs / panel, inputs·height·width, panel]`
    panels: Aligned<T>,
    /// Where each tap of each input channel lies, from the output pixel's place on.
    offsets: Vec<usize>,
}

/// How far every tap of every channel is from the output pixel's place; a kernel may be smaller than
/// its frame's border.
pub(super) fn offsets(
    frame: Frame,
    channels: usize,
    size: [usize; 2],
    dilation: usize,
) -> Vec<usize> {
    let [height, width] = size;
    let centre = dilation * (height / 2 * frame.stride() + width / 2);
    let mut offsets = Vec::with_capacity(channels * height * width);
    for channel in 0..channels {
        let first = channel * frame.plane() + frame.origin() - centre;
        for row in 0..height {
            for column in 0..width {
                offsets.push(first + dilation * (row * frame.stride() + column));
            }
        }
    }
    offsets
}

impl<T: Real> Kernel<T> {
    /// The kernel of the convolution itself.
    pub(crate) fn forward(
        weight: &[T],
        shape: (usize, usize, usize, usize),
        dilation: usize,
        frame: Frame,
    ) -> Self {
        let (outputs, inputs, height, width) = shape;
        let taps = inputs * height * width;
        Self::new(frame, [outputs, inputs, height, width], dilation, |o, k| {
            weight[o * taps + k]
        })
    }

    /// The kernel that takes the gradient of the output to that of the input.
    pub(crate) fn backward(
        weight: &[T],
        shape: (usize, usize, usize, usize),
        dilation: usize,
        frame: Frame,
    ) -> Self {
        let (outputs, inputs, height, width) = shape;
        let area = height * width;
        Self::new(frame, [inputs, outputs, height, width], dilation, |i, k| {
            let (output, tap) = (k / area, k % area);
            weight[(output * inputs + i) * area + (area - 1 - tap)]
        })
    }

    fn new(
        frame: Frame,
        [outputs, inputs, height, width]: [usize; 4],
        dilation: usize,
        weight: impl Fn(usize, usize) -> T,
    ) -> Self {
        let taps = inputs * height * width;
        let lanes = by_channels::lanes::<T>(outputs, taps);
        let width_of_panel = lanes.unwrap_or(PANEL);
        let mut panels = Aligned::new(outputs.next_multiple_of(width_of_panel) * taps);
        let size = (taps * width_of_panel).max(1);
        for (panel, weights) in panels.chunks_exact_mut(size).enumerate() {
            for (tap, weights) in weights.chunks_exact_mut(width_of_panel).enumerate() {
                for (i, x) in weights.iter_mut().enumerate() {
                    let output = panel * width_of_panel + i;
                    *x = if output < outputs {
                        weight(output, tap)
                    } else {
                        T::zero()
                    };
                }
            }
        }
        Self {
            frame,
            inputs,
            outputs,
            lanes,
            panels,
            offsets: offsets(frame, inputs, [height, width], dilation),
        }
    }

    /// Convolves framed planes `[inputs]` to planes `[outputs]` without a border.
    pub(crate) fn convolve(&self, input: &[T], output: &mut [T], write: Write, threads: Threads) {
        let frame = self.frame;
        let pixels = frame.height * frame.width;
        assert_eq!(input.len(), frame.len(self.inputs));
        assert_eq!(output.len(), self.outputs * pixels);
        let reach = self.inputs * frame.stride();
        let rows = (STRIP / reach.max(1)).clamp(1, frame.height);
        let strips = frame.height.div_ceil(rows);
        // Vectors of channels go by twos.
        let width = self.lanes.map_or(PANEL, |lanes| 2 * lanes);
        let panels = self.outputs.div_ceil(width);
        let output = SharedOutput(output.as_mut_ptr());
        let task = |panel: usize, strip: usize| {
            let rows = strip * rows..frame.height.min((strip + 1) * rows);
            if self.lanes.is_some() {
                dispatch(by_channels::Tiles {
                    frame,
                    input,
                    output,
                    write,
                    weights: &self.panels[panel * width * self.offsets.len()..],
                    offsets: &self.offsets,
                    channels: panel * width..self.outputs.min((panel + 1) * width),
                    rows,
                });
            } else {
                dispatch(Tiles {
                    kernel: self,
                    input,
                    output,
                    write,
                    panel,
                    rows,
                });
            }
        };
        match threads {
            Threads::One => {
                for strip in 0..strips {
                    for panel in 0..panels {
                        task(panel, strip);
                    }
                }
            }
            Threads::All => (0..strips * panels)
                .into_par_iter()
                .for_each(|i| task(i % panels, i / panels)),
        }
    }
}

/// An output that several tasks write to, each its own channels and rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedOutput<T>(pub(super) *mut T);

// SAFETY: tasks write to different elements (`Tiles` touches only the channels of its panel and
// its own rows), and the borrow of the output outlives them all.
unsafe impl<T: Send> Send for SharedOutput<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedOutput<T> {}

/// One panel of output channels in some rows.
struct Tiles<'a, T: Real> {
    kernel: &'a Kernel<T>,
    input: &'a [T],
    output: SharedOutput<T>,
    write: Write,
    panel: usize,
    rows: Range<usize>,
}

impl<T: Real> WithSimd for Tiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Accumulators, pixels and one weight have to fit into the registers.
        if S::REGISTER_COUNT >= 32 {
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
