//! The three products of a convolution that keeps the resolution, by the kernels of `direct` and
//! `correlate`.
//!
//! Images and groups are computed in parallel; the weight gradients of images are added up in
//! their order, so that results do not depend on the number of threads.

use rayon::prelude::*;

use super::correlate;
use super::direct::{Kernel, Write};
use super::frame::Frame;
use super::geometry::Geometry;
use crate::cpu::{Buffer, Real, Threads};

/// The planes of one group of one image, framed.
fn framed<T: Real>(frame: Frame, planes: &[T]) -> Buffer<T> {
    let mut framed = frame.buffer(planes.len() / (frame.height * frame.width));
    frame.fill(&mut framed, planes);
    framed
}

/// The weights of one group.
fn group_shape(g: &Geometry) -> (usize, usize, usize, usize) {
    (
        g.group_outputs(),
        g.group_inputs(),
        g.kernel_height,
        g.kernel_width,
    )
}

/// `planes * kernel` for every image and group.
fn convolve<T: Real>(frame: Frame, planes: &[T], kernels: &[Kernel<T>], batch: usize) -> Vec<T> {
    let pixels = frame.height * frame.width;
    let (inputs, outputs) = (kernels[0].inputs * pixels, kernels[0].outputs * pixels);
    let tasks = batch * kernels.len();
    let threads = Threads::inside(tasks);
    let mut result = vec![T::zero(); tasks * outputs];
    result
        .par_chunks_mut(outputs)
        .zip(planes.par_chunks(inputs))
        .enumerate()
        .for_each(|(task, (result, planes))| {
            let kernel = &kernels[task % kernels.len()];
            let framed = framed(frame, planes);
            kernel.convolve(&framed, result, None, Write::Replace, threads);
        });
    result
}

/// The kernels of all groups.
fn kernels<T: Real>(
    g: &Geometry,
    weight: &[T],
    make: impl Fn(&[T], (usize, usize, usize, usize)) -> Kernel<T>,
) -> Vec<Kernel<T>> {
    weight
        .chunks(g.group_outputs() * g.patch_size())
        .map(|weight| make(weight, group_shape(g)))
        .collect()
}

pub(super) fn forward<T: Real>(g: &Geometry, frame: Frame, input: &[T], weight: &[T]) -> Vec<T> {
    if input.is_empty() || weight.is_empty() {
        return vec![T::zero(); g.batch * g.outputs * g.out_height * g.out_width];
    }
    let kernels = kernels(g, weight, |weight, shape| {
        Kernel::forward(weight, shape, g.dilation, frame)
    });
    convolve(frame, input, &kernels, g.batch)
}

pub(super) fn input_gradient<T: Real>(
    g: &Geometry,
    frame: Frame,
    output: &[T],
    weight: &[T],
) -> Vec<T> {
    if output.is_empty() || weight.is_empty() {
        return vec![T::zero(); g.batch * g.inputs * g.height * g.width];
    }
    let kernels = kernels(g, weight, |weight, shape| {
        Kernel::backward(weight, shape, g.dilation, frame)
    });
    convolve(frame, output, &kernels, g.batch)
}

pub(super) fn weight_gradient<T: Real>(
    g: &Geometry,
    frame: Frame,
    input: &[T],
    output: &[T],
) -> Vec<T> {
    let pixels = frame.height * frame.width;
    let weight_task = g.group_outputs() * g.patch_size();
    let mut weight = vec![T::zero(); g.groups * weight_task];
    if input.is_empty() || output.is_empty() {
        return weight;
    }
    let threads = Threads::inside(g.batch * g.groups);
    let shares: Vec<Vec<T>> = input
        .par_chunks(g.group_inputs() * pixels)
        .zip(output.par_chunks(g.group_outputs() * pixels))
        .map(|(input, output)| {
            let (input, output) = (framed(frame, input), framed(frame, output));
            let mut share = vec![T::zero(); weight_task];
            correlate::weight_gradient(
                frame,
                &input,
                &output,
                group_shape(g),
                g.dilation,
                &mut share,
                threads,
            );
            share
        })
        .collect();
    for (task, share) in shares.iter().enumerate() {
        let weight = &mut weight[task % g.groups * weight_task..][..weight_task];
        for (sum, &share) in weight.iter_mut().zip(share) {
            *sum += share;
        }
    }
    weight
}
