//! Convolutions without laying out patches.
//!
//! In a [`Frame`] every tap of the kernel is a constant distance away. The output is computed in
//! register tiles of channels by pixels: with vectors of channels where there are enough of them, of
//! pixels otherwise.

use rayon::prelude::*;

use super::frame::Frame;
use super::kernel::KernelShape;
use super::{by_channels, by_pixels};
use crate::cpu::{Aligned, Real, Shared, Threads, Write, dispatch};

/// Output channels whose weights lie together.
pub(super) const PANEL: usize = 8;
/// Elements of the framed planes that one strip of pixels reads; they stay in the second-level
/// cache.
const STRIP: usize = 64 * 1024;

/// A kernel as it is, with its weights in the order of their use.
#[derive(Debug)]
pub(super) struct Direct<T: Real> {
    pub(super) frame: Frame,
    inputs: usize,
    pub(super) outputs: usize,
    /// Elements of a vector, if vectors are output channels and not pixels.
    lanes: Option<usize>,
    /// `[outputs / panel, inputs·height·width, panel]`
    pub(super) panels: Aligned<T>,
    /// Where each tap of each input channel lies, from the output pixel's place on.
    pub(super) offsets: Vec<usize>,
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

impl<T: Real> Direct<T> {
    /// `weight` gives a tap, counted along the input channels and rows, for an output channel.
    pub(super) fn new(
        frame: Frame,
        shape: KernelShape,
        weight: impl Fn(usize, usize) -> T,
    ) -> Self {
        let KernelShape {
            outputs,
            inputs,
            height,
            width,
            dilation,
            ..
        } = shape;
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
    pub(super) fn convolve(&self, input: &[T], output: &mut [T], write: Write, threads: Threads) {
        let frame = self.frame;
        let reach = self.inputs * frame.stride();
        let rows = (STRIP / reach.max(1)).clamp(1, frame.height);
        let strips = frame.height.div_ceil(rows);
        // Vectors of channels go by twos.
        let width = self.lanes.map_or(PANEL, |lanes| 2 * lanes);
        let panels = self.outputs.div_ceil(width);
        let output = Shared(output.as_mut_ptr());
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
                dispatch(by_pixels::Tiles {
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
