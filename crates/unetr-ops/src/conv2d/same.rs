//! The three products of a convolution that keeps the resolution, by the kernels of `kernel` and
//! `correlate`.
//!
//! Images and groups are computed in parallel; the weight gradients of images are added up in
//! their order, so that results do not depend on the number of threads.

use rayon::prelude::*;

use super::correlate;
use super::frame::Frame;
use super::geometry::Geometry;
use super::kernel::{Kernel, KernelShape};
use super::matrix::sum_over_images;
use crate::cpu::{Real, Threads, Write, unwritten};

/// The planes of one group of one image, framed.
fn framed<T: Real>(frame: Frame, planes: &[T]) -> Vec<T> {
    // SAFETY: the planes are copied to it.
    let mut framed = unsafe { frame.buffer(planes.len() / (frame.height * frame.width)) };
    frame.fill(&mut framed, planes);
    framed
}

/// The kernel of one group.
fn group_shape(g: &Geometry) -> KernelShape {
    KernelShape {
        outputs: g.group_outputs(),
        inputs: g.group_inputs(),
        height: g.kernel_height,
        width: g.kernel_width,
        dilation: g.dilation,
        precision: g.precision,
    }
}

/// `planes * kernel` for every image and group.
fn convolve<T: Real>(frame: Frame, planes: &[T], kernels: &[Kernel<T>], batch: usize) -> Vec<T> {
    let pixels = frame.height * frame.width;
    let (inputs, outputs) = (kernels[0].inputs * pixels, kernels[0].outputs * pixels);
    let tasks = batch * kernels.len();
    let threads = Threads::inside(tasks);
    // SAFETY: the convolution of every group writes all of its pixels.
    let mut result = unsafe { unwritten(tasks * outputs) };
    result
        .par_chunks_mut(outputs)
        .zip(planes.par_chunks(inputs))
        .enumerate()
        .for_each(|(task, (result, planes))| {
            let kernel = &kernels[task % kernels.len()];
            let framed = framed(frame, planes);
            kernel.convolve(&framed, result, Write::Replace, threads);
        });
    result
}

pub(super) fn forward<T: Real>(g: &Geometry, frame: Frame, input: &[T], weight: &[T]) -> Vec<T> {
    by_groups(g, frame, input, weight, Kernel::forward, g.outputs)
}

pub(super) fn input_gradient<T: Real>(
    g: &Geometry,
    frame: Frame,
    output: &[T],
    weight: &[T],
) -> Vec<T> {
    by_groups(g, frame, output, weight, Kernel::backward, g.inputs)
}

/// From a weight to its kernel.
type MakeKernel<T> = fn(&[T], KernelShape, Frame) -> Kernel<T>;

/// `planes * kernel` with the kernels that `make` gives for every group, to so many channels.
fn by_groups<T: Real>(
    g: &Geometry,
    frame: Frame,
    planes: &[T],
    weight: &[T],
    make: MakeKernel<T>,
    channels: usize,
) -> Vec<T> {
    if planes.is_empty() || weight.is_empty() {
        return vec![T::zero(); g.batch * channels * frame.height * frame.width];
    }
    let kernels: Vec<Kernel<T>> = weight
        .chunks(g.group_outputs() * g.patch_size())
        .map(|weight| make(weight, group_shape(g), frame))
        .collect();
    convolve(frame, planes, &kernels, g.batch)
}

pub(super) fn weight_gradient<T: Real>(
    g: &Geometry,
    frame: Frame,
    input: &[T],
    output: &[T],
) -> Vec<T> {
    let pixels = frame.height * frame.width;
    let weight_task = g.group_outputs() * g.patch_size();
    if input.is_empty() || output.is_empty() {
        return vec![T::zero(); g.groups * weight_task];
    }
    let threads = Threads::inside(g.batch * g.groups);
    let shares: Vec<Vec<T>> = input
        .par_chunks(g.group_inputs() * pixels)
        .zip(output.par_chunks(g.group_outputs() * pixels))
        .map(|(input, output)| {
            let (input, output) = (framed(frame, input), framed(frame, output));
            let mut share = vec![T::zero(); weight_task];
            correlate::weight_gradient(frame, &input, &output, group_shape(g), &mut share, threads);
            share
        })
        .collect();
    sum_over_images(g, &shares)
}
