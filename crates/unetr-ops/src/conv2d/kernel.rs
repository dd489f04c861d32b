//! Convolutions of stride 1 that keep the resolution, on [`Frame`]s: directly, or by minimal filtering
//! where that is faster. The gradient of the input is the same with the kernel turned round.

use super::direct::Direct;
use super::frame::Frame;
use super::winograd::{self, Winograd};
use crate::cpu::{Real, Threads, Write};

/// A kernel `[outputs, inputs, height, width]` of odd height and width, ready for use.
#[derive(Debug)]
pub(crate) struct Kernel<T: Real> {
    frame: Frame,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    method: Method<T>,
}

#[derive(Debug)]
enum Method<T: Real> {
    Direct(Direct<T>),
    MinimalFiltering(Winograd<T>),
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
        shape: [usize; 4],
        dilation: usize,
        weight: impl Fn(usize, usize) -> T + Sync,
    ) -> Self {
        let [outputs, inputs, ..] = shape;
        let method = if winograd::fits::<T>(frame, shape, dilation) {
            Method::MinimalFiltering(Winograd::new(frame, (outputs, inputs), weight))
        } else {
            Method::Direct(Direct::new(frame, shape, dilation, weight))
        };
        Self {
            frame,
            inputs,
            outputs,
            method,
        }
    }

    /// Convolves framed planes `[inputs]` to planes `[outputs]` without a border.
    pub(crate) fn convolve(&self, input: &[T], output: &mut [T], write: Write, threads: Threads) {
        let pixels = self.frame.height * self.frame.width;
        assert_eq!(input.len(), self.frame.len(self.inputs));
        assert_eq!(output.len(), self.outputs * pixels);
        match &self.method {
            Method::Direct(direct) => direct.convolve(input, output, write, threads),
            Method::MinimalFiltering(winograd) => winograd.convolve(input, output, write, threads),
        }
    }
}
