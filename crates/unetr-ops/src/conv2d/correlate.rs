//! The gradient of a weight on [`Frame`]s: by minimal filtering where that is faster; else register tiles
//! of output channels by taps, summed over the pixels, with vectors of channels where there are enough of
//! them, of pixels otherwise.

use rayon::prelude::*;

use super::direct::{PANEL, offsets};
use super::frame::Frame;
use super::kernel::KernelShape;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::rounded;
use super::winograd_gradient::{self, WinogradGradient};
use super::{by_channels, gradient_by_channels, gradient_by_pixels};
use crate::cpu::{Real, Threads, dispatch};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::cpu::{as_f32, as_f32_mut};

/// Adds the gradient of a weight `[outputs, inputs, height, width]` for one image to `share`.
///
/// `input` and `output` are framed alike: what the convolution saw, and the gradient of what it gave.
pub(crate) fn weight_gradient<T: Real>(
    frame: Frame,
    input: &[T],
    output: &[T],
    shape: KernelShape,
    share: &mut [T],
    threads: Threads,
) {
    let KernelShape {
        outputs,
        inputs,
        height,
        width,
        dilation,
        ..
    } = shape;
    assert_eq!(input.len(), frame.len(inputs));
    assert_eq!(output.len(), frame.len(outputs));
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if let (Some(input), Some(output), Some(share)) =
        (as_f32(input), as_f32(output), as_f32_mut(share))
        && rounded::weight_gradient(frame, input, output, shape, share, threads)
    {
        return;
    }
    if winograd_gradient::fits(frame, shape) {
        let gradient = WinogradGradient {
            frame,
            input,
            output,
            outputs,
            inputs,
        };
        return gradient.add_to(share, threads);
    }
    let offsets = offsets(frame, inputs, [height, width], dilation);
    let lanes = by_channels::lanes::<T>(outputs, offsets.len()).filter(|_| dilation == 1);
    let rows: Vec<usize> = offsets.iter().copied().step_by(width).collect();
    let panel = match (lanes, width) {
        (Some(lanes), 1 | 3) => lanes,
        _ => PANEL,
    };
    let task = |first: usize, share: &mut [T]| {
        let output = &output[first * frame.plane()..];
        match (lanes, width) {
            (Some(_), 3) => dispatch(gradient_by_channels::Correlation::<T, 3> {
                frame,
                input,
                output,
                offsets: &rows,
                share,
            }),
            (Some(_), 1) => dispatch(gradient_by_channels::Correlation::<T, 1> {
                frame,
                input,
                output,
                offsets: &rows,
                share,
            }),
            _ => dispatch(gradient_by_pixels::Correlation {
                frame,
                input,
                output,
                offsets: &offsets,
                share,
            }),
        }
    };
    let chunk = panel * offsets.len();
    match threads {
        Threads::One => {
            for (i, share) in share.chunks_mut(chunk).enumerate() {
                task(i * panel, share);
            }
        }
        Threads::All => share
            .par_chunks_mut(chunk)
            .enumerate()
            .for_each(|(i, share)| task(i * panel, share)),
    }
}
