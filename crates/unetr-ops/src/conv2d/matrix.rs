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
use crate::cpu::{Buffer, Matrix, MatrixMut, Real, Threads, Write, add, gemm, unwritten};

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

    /// Whether every output pixel sees the pixel at its own place alone, so that planes are patches.
    fn pointwise(&self) -> bool {
        let kernel = (self.kernel_height, self.kernel_width);
        let planes_are_alike = (self.height, self.width) == (self.out_height, self.out_width);
        (kernel, self.stride, self.padding) == ((1, 1), 1, 0) && planes_are_alike
    }

    /// The patches of a strip of output rows: `[patch size, rows·out_width]`.
    fn patches<'a, T: Real>(
        &self,
        input: &'a [T],
        buffer: &'a mut [T],
        (start, rows): (usize, usize),
        threads: Threads,
    ) -> Matrix<'a, T> {
        if self.pointwise() {
            let plane = self.height * self.width;
            let (input, pixels) = (&input[start * self.width..], rows * self.width);
            return Matrix::strided(input, self.group_inputs(), pixels, plane);
        }
        let patches = &mut buffer[..self.patch_size() * rows * self.out_width];
        gather(self, input, patches, (start, rows), threads);
        Matrix::new(patches, self.patch_size(), rows * self.out_width)
    }
}

/// `weight · patches(input)`, and `Σ output · patches(input)ᵀ` over the images, which is the gradient of
/// the weight; of both those whose other factor is there.
pub(super) fn products<T: Real>(
    g: &Geometry,
    input: &[T],
    weight: Option<&[T]>,
    output: Option<&[T]>,
) -> (Option<Vec<T>>, Option<Vec<T>>) {
    let (in_plane, out_plane) = (g.height * g.width, g.out_height * g.out_width);
    let (in_task, out_task) = (g.group_inputs() * in_plane, g.group_outputs() * out_plane);
    let weight_task = g.group_outputs() * g.patch_size();
    let tasks = g.batch * g.groups;
    let threads = Threads::inside(tasks);
    let how = g.product(threads);
    // SAFETY: the product of each strip writes all of its pixels.
    let mut convolved = weight.map(|_| unsafe { unwritten(tasks * out_task) });
    let parts: Vec<Option<&mut [T]>> = match &mut convolved {
        Some(convolved) if out_task > 0 => convolved.chunks_mut(out_task).map(Some).collect(),
        _ => (0..tasks).map(|_| None).collect(),
    };
    let shares: Vec<Vec<T>> = parts
        .into_par_iter()
        .enumerate()
        .map(|(task, mut convolved)| {
            let input = &input[task * in_task..][..in_task];
            let weight = weight.map(|weight| {
                let weight = &weight[task % g.groups * weight_task..][..weight_task];
                Matrix::new(weight, g.group_outputs(), g.patch_size())
            });
            let output = output.map(|output| &output[task * out_task..][..out_task]);
            let mut share = vec![T::zero(); output.map_or(0, |_| weight_task)];
            let mut buffer = Buffer::new(g.buffer_len());
            for (start, rows) in g.strips() {
                let patches = g.patches(input, &mut buffer, (start, rows), threads);
                let pixels = start * g.out_width;
                if let (Some(weight), Some(convolved)) = (weight, &mut convolved) {
                    let mut out = MatrixMut {
                        data: &mut convolved[pixels..],
                        rows: g.group_outputs(),
                        columns: patches.columns,
                        row_stride: out_plane,
                    };
                    gemm(&mut out, Write::Replace, weight, patches, how);
                }
                if let Some(output) = output {
                    let output = &output[pixels..];
                    let output =
                        Matrix::strided(output, g.group_outputs(), patches.columns, out_plane);
                    let mut out = MatrixMut::new(&mut share, g.group_outputs(), g.patch_size());
                    gemm(&mut out, Write::Add, output, patches.t(), how);
                }
            }
            share
        })
        .collect();
    let gradient = output.map(|_| sum_over_images(g, &shares));
    (convolved, gradient)
}

/// `input = patches⁻¹(weightᵀ · output)`: what each output pixel saw gets its share back.
pub(super) fn input_gradient<T: Real>(g: &Geometry, output: &[T], weight: &[T]) -> Vec<T> {
    let (in_plane, out_plane) = (g.height * g.width, g.out_height * g.out_width);
    let (in_task, out_task) = (g.group_inputs() * in_plane, g.group_outputs() * out_plane);
    let weight_task = g.group_outputs() * g.patch_size();
    let threads = Threads::inside(g.batch * g.groups);
    let how = g.product(threads);
    let size = g.batch * g.inputs * in_plane;
    let mut input = match g.pointwise() || g.halves() {
        // SAFETY: each strip writes all of its pixels.
        true => unsafe { unwritten(size) },
        false => vec![T::zero(); size],
    };
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
                if g.pointwise() {
                    let mut out = MatrixMut {
                        data: &mut input[start * g.width..],
                        rows: g.group_inputs(),
                        columns,
                        row_stride: in_plane,
                    };
                    gemm(&mut out, Write::Replace, weight.t(), output, how);
                    continue;
                }
                let mut out = MatrixMut {
                    data: &mut buffer,
                    rows: g.patch_size(),
                    columns,
                    row_stride: columns,
                };
                gemm(&mut out, Write::Replace, weight.t(), output, how);
                let patches = &buffer[..g.patch_size() * columns];
                scatter(g, patches, input, (start, rows), threads);
            }
        });
    input
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
