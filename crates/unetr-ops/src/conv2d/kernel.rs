//! Convolutions of stride 1 that keep the resolution, on [`Frame`]s: directly, or by minimal filtering
//! where that is faster. The gradient of the input is the same with the kernel turned round.

use super::direct::Direct;
use super::frame::Frame;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::rounded::Rounded;
use super::winograd::{self, Winograd};
use crate::Precision;
use crate::cpu::{Real, Threads, Write};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::cpu::{as_f32, as_f32_mut, is_f32};

/// The sizes of a kernel `[outputs, inputs, height, width]`, and how it is applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelShape {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) dilation: usize,
    #[cfg_attr(
        not(all(target_arch = "x86_64", target_os = "linux")),
        allow(dead_code, reason = "convolutions are exact there")
    )]
    pub(crate) precision: Precision,
}

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
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Rounded(Rounded),
}

impl<T: Real> Kernel<T> {
    /// The kernel of the convolution itself.
    pub(crate) fn forward(weight: &[T], shape: KernelShape, frame: Frame) -> Self {
        let taps = shape.inputs * shape.height * shape.width;
        Self::new(frame, shape, |output, tap| weight[output * taps + tap])
    }

    /// The kernel that takes the gradient of the output to that of the input.
    pub(crate) fn backward(weight: &[T], shape: KernelShape, frame: Frame) -> Self {
        let area = shape.height * shape.width;
        let turned = KernelShape {
            outputs: shape.inputs,
            inputs: shape.outputs,
            ..shape
        };
        Self::new(frame, turned, |i, k| {
            let (output, tap) = (k / area, k % area);
            weight[(output * shape.inputs + i) * area + (area - 1 - tap)]
        })
    }

    fn new(frame: Frame, shape: KernelShape, weight: impl Fn(usize, usize) -> T + Sync) -> Self {
        Self {
            frame,
            inputs: shape.inputs,
            outputs: shape.outputs,
            method: Method::new(frame, shape, weight),
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
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Method::Rounded(rounded) => {
                if let (Some(input), Some(output)) = (as_f32(input), as_f32_mut(output)) {
                    rounded.convolve(input, output, write, threads);
                }
            }
        }
    }
}

impl<T: Real> Method<T> {
    fn new(frame: Frame, shape: KernelShape, weight: impl Fn(usize, usize) -> T + Sync) -> Self {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if is_f32::<T>()
            && let Some(rounded) = Rounded::new(frame, shape, |o, k| weight(o, k).f64() as f32)
        {
            return Self::Rounded(rounded);
        }
        if winograd::fits::<T>(frame, shape) {
            Self::MinimalFiltering(Winograd::new(frame, (shape.outputs, shape.inputs), weight))
        } else {
            Self::Direct(Direct::new(frame, shape, weight))
        }
    }
}
