//! Any convolution and its two gradients as matrix products with patches.
//!
//! A convolution is `weight · patches`, where a column of `patches` holds what one output pixel
//! sees. The patches of a few output rows at a time are laid out in a buffer that stays in the
//! second-level cache. Images and groups are computed in
//! parallel; the weight gradients of images are added up in their order, so that results do not
//! depend on the number of threads.

use rayon::prelude::*;

use super::geometry::Geometry;
use super::patches::{gather, scatter};
use crate::cpu::{Buffer, Matrix, MatrixMut, Real, Threads, Write, add, gemm};

/// Elements of the patch buffer.
const BUFFER: usize = 128 * 1024;

impl Geometry {
    /// How many output rows are computed at a time.
    fn strip(&self) -> usize {
        (BUFFER / (self.patch_size() * self.out_width).max(1)).clamp(1, self.out_height.max(1))
    }

    /// First row and number of rows of each strip.
    fn strips(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (height, strip) = (self.out_height, self.strip());
        (0..height)
            .step_by(strip)
            .map(move |start| (start, strip.min(height - start)))
    }

    /// Elements of the patch buffer of a strip.
    fn buffer_len(&self) -> usize {
        self.patch_size() * self.strip() * self.out_width
    }

    /// The patches of a strip of output rows: `[patch size, rows·out_width]`.
    fn patches<'a, T: Real>(
        &self,
        input: &[T],
        buffer: &'a mut [T],
        (start, rows): (usize, usize),
    ) -> Matrix<'a, T> {
        gather(self, input, buffer, start, rows);
        Matrix::new(buffer, self.patch_size(), rows * self.out_width)
    }
}

/// `output = weight · patches(input)`
pub(super) fn forward<T: Real>(g: &Geometry, input: &[T], weight: &[T]) -> Vec<T> {
    let (in_plane, out_plane) = (g.height * g.width, g.out_height * g.out_width);
    let (in_task, out_task) = (g.group_inputs() * in_plane, g.group_outputs() * out_plane);
    let weight_task = g.group_outputs() * g.patch_size();
    let threads = Threads::inside(g.batch * g.groups);
    let mut output = vec![T::zero(); g.batch * g.outputs * out_plane];
    if output.is_empty() {
        return output;
    }
    output
        .par_chunks_mut(out_task)
        .enumerate()
        .for_each(|(task, output)| {
            let input = &input[task * in_task..][..in_task];
            let weight = &weight[task % g.groups * weight_task..][..weight_task];
            let weight = Matrix::new(weight, g.group_outputs(), g.patch_size());
            let mut buffer = Buffer::new(g.buffer_len());
            for (start, rows) in g.strips() {
                let mut out = MatrixMut {
                    data: &mut output[start * g.out_width..],
                    rows: g.group_outputs(),
                    columns: rows * g.out_width,
                    row_stride: out_plane,
                };
                gemm(
                    &mut out,
                    Write::Replace,
                    weight,
                    g.patches(input, &mut buffer, (start, rows)),
                    threads.into(),
                );
            }
        });
    output
}

/// `input = patches⁻¹(weightᵀ · output)`: what each output pixel saw gets its share back.
pub(super) fn input_gradient<T: Real>(g: &Geometry, output: &[T], weight: &[T]) -> Vec<T> {
    let (in_plane, out_plane) = (g.height * g.width, g.out_height * g.out_width);
    let (in_task, out_task) = (g.group_inputs() * in_plane, g.group_outputs() * out_plane);
    let weight_task = g.group_outputs() * g.patch_size();
    let threads = Threads::inside(g.batch * g.groups);
    let mut input = vec![T::zero(); g.batch * g.inputs * in_plane];
    if input.is_empty() {
        return input;
    }
    input
        .par_chunks_mut(in_task)
        .enumerate()
        .for_each(|(task, input)| {
            let output = &output[task * out_task..][..out_task];
            let weight = &weight[task % g.groups * weight_task..][..weight_task];
            let weight = Matrix::new(weight, g.group_outputs(), g.patch_size());
            let mut buffer = Buffer::new(g.buffer_len());
            for (start, rows) in g.strips() {
                let columns = rows * g.out_width;
                let strip = &output[start * g.out_width..];
                let output = Matrix::strided(strip, g.group_outputs(), columns, out_plane);
                let mut out = MatrixMut {
                    data: &mut buffer,
                    rows: g.patch_size(),
                    columns,
                    row_stride: columns,
                };
                gemm(&mut out, Write::Replace, weight.t(), output, threads.into());
                scatter(g, &buffer, input, start, rows);
            }
        });
    input
}

/// `weight = Σ output · patches(input)ᵀ` over the images.
pub(super) fn weight_gradient<T: Real>(g: &Geometry, input: &[T], output: &[T]) -> Vec<T> {
    let (in_plane, out_plane) = (g.height * g.width, g.out_height * g.out_width);
    let (in_task, out_task) = (g.group_inputs() * in_plane, g.group_outputs() * out_plane);
    let weight_task = g.group_outputs() * g.patch_size();
    let threads = Threads::inside(g.batch * g.groups);
    let shares: Vec<Vec<T>> = (0..g.batch * g.groups)
        .into_par_iter()
        .map(|task| {
            let input = &input[task * in_task..][..in_task];
            let output = &output[task * out_task..][..out_task];
            let mut share = vec![T::zero(); weight_task];
            let mut buffer = Buffer::new(g.buffer_len());
            for (start, rows) in g.strips() {
                let columns = rows * g.out_width;
                let strip = &output[start * g.out_width..];
                let output = Matrix::strided(strip, g.group_outputs(), columns, out_plane);
                let mut out = MatrixMut {
                    data: &mut share,
                    rows: g.group_outputs(),
                    columns: g.patch_size(),
                    row_stride: g.patch_size(),
                };
                let patches = g.patches(input, &mut buffer, (start, rows));
                gemm(&mut out, Write::Add, output, patches.t(), threads.into());
            }
            share
        })
        .collect();
    sum_over_images(g, &shares)
}

/// The weight from its shares, one for every group of every image.
pub(super) fn sum_over_images<T: Real>(g: &Geometry, shares: &[Vec<T>]) -> Vec<T> {
    let weight_task = g.group_outputs() * g.patch_size();
    let mut weight = vec![T::zero(); g.groups * weight_task];
    for (task, share) in shares.iter().enumerate() {
        add(
            &mut weight[task % g.groups * weight_task..][..weight_task],
            share,
        );
    }
    weight
}
