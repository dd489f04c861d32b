//! Convolution, its two gradients, and by exchange of roles the transposed convolution, as matrix
//! products with patches.
//!
//! A convolution is `weight · patches`, where a column of `patches` holds what one output pixel
//! sees. The patches of a few output rows at a time are laid out in a buffer that stays in the
//! second-level cache; a 1×1 kernel of stride 1 needs none. Images and groups are computed in
//! parallel; the weight gradients of images are added up in their order, so that results do not
//! depend on the number of threads.

use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType as _};
use rayon::prelude::*;

use super::geometry::Geometry;
use super::patches::{gather, scatter};
use crate::cpu::{Matrix, MatrixMut, Real, Threads, elements, for_real, gemm};

/// Elements of the patch buffer.
const BUFFER: usize = 128 * 1024;

impl Geometry {
    fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Rows of the patch matrix: what one output pixel of one group sees.
    fn patch_size(&self) -> usize {
        self.group_inputs() * self.kernel_height * self.kernel_width
    }

    fn input_shape(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.inputs, self.height, self.width)
    }

    fn output_shape(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.outputs, self.out_height, self.out_width)
    }

    fn weight_shape(&self) -> (usize, usize, usize, usize) {
        (
            self.outputs,
            self.group_inputs(),
            self.kernel_height,
            self.kernel_width,
        )
    }

    /// Whether the patches are the input itself.
    fn is_pointwise(&self) -> bool {
        (
            self.kernel_height,
            self.kernel_width,
            self.stride,
            self.padding,
        ) == (1, 1, 1, 0)
            && (self.height, self.width) == (self.out_height, self.out_width)
    }

    /// How many output rows are computed at a time.
    fn strip(&self) -> usize {
        if self.is_pointwise() {
            return self.out_height;
        }
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
        if self.is_pointwise() {
            0
        } else {
            self.patch_size() * self.strip() * self.out_width
        }
    }

    /// The patches of a strip of output rows: `[patch size, rows·out_width]`.
    fn patches<'a, T: Real>(
        &self,
        input: &'a [T],
        buffer: &'a mut [T],
        (start, rows): (usize, usize),
    ) -> Matrix<'a, T> {
        let columns = rows * self.out_width;
        if self.is_pointwise() {
            return Matrix::new(input, self.patch_size(), columns);
        }
        gather(self, input, buffer, start, rows);
        Matrix::new(buffer, self.patch_size(), columns)
    }
}

/// `output = weight · patches(input)`
fn forward<T: Real>(g: &Geometry, input: &[T], weight: &[T]) -> Vec<T> {
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
            let mut buffer = vec![T::zero(); g.buffer_len()];
            for (start, rows) in g.strips() {
                let mut out = MatrixMut {
                    data: &mut output[start * g.out_width..],
                    rows: g.group_outputs(),
                    columns: rows * g.out_width,
                    row_stride: out_plane,
                };
                gemm(
                    &mut out,
                    false,
                    weight,
                    g.patches(input, &mut buffer, (start, rows)),
                    threads,
                );
            }
        });
    output
}

/// `input = patches⁻¹(weightᵀ · output)`: what each output pixel saw gets its share back.
fn input_gradient<T: Real>(g: &Geometry, output: &[T], weight: &[T]) -> Vec<T> {
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
            let mut buffer = vec![T::zero(); g.buffer_len()];
            for (start, rows) in g.strips() {
                let columns = rows * g.out_width;
                let strip = &output[start * g.out_width..];
                let output = Matrix::strided(strip, g.group_outputs(), columns, out_plane);
                let pointwise = g.is_pointwise();
                let data = if pointwise { &mut *input } else { &mut *buffer };
                let mut out = MatrixMut {
                    data,
                    rows: g.patch_size(),
                    columns,
                    row_stride: columns,
                };
                gemm(&mut out, false, weight.t(), output, threads);
                if !pointwise {
                    scatter(g, &buffer, input, start, rows);
                }
            }
        });
    input
}

/// `weight = Σ output · patches(input)ᵀ` over the images.
fn weight_gradient<T: Real>(g: &Geometry, input: &[T], output: &[T]) -> Vec<T> {
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
            let mut buffer = vec![T::zero(); g.buffer_len()];
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
                gemm(&mut out, true, output, patches.t(), threads);
            }
            share
        })
        .collect();
    let mut weight = vec![T::zero(); g.groups * weight_task];
    for (task, share) in shares.iter().enumerate() {
        let weight = &mut weight[task % g.groups * weight_task..][..weight_task];
        for (sum, &share) in weight.iter_mut().zip(share) {
            *sum += share;
        }
    }
    weight
}

/// One of the three products of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Product {
    /// Of the input and the weight: the output.
    Output,
    /// Of the output and the weight: the input, as a transposed convolution computes it.
    Input,
    /// Of the input and the output: the weight.
    Weight,
}

/// A product of a convolution as an operation; the other two are its gradients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    pub(crate) geometry: Geometry,
    pub(crate) product: Product,
}

impl Convolution {
    /// The product of two tensors, differentiable.
    pub(crate) fn apply(self, lhs: &Tensor, rhs: &Tensor) -> Result<Tensor> {
        lhs.contiguous()?.apply_op2(&rhs.contiguous()?, self)
    }

    fn compute(self, product: Product, lhs: &Tensor, rhs: &Tensor) -> Result<Tensor> {
        let convolution = Self { product, ..self };
        lhs.detach()
            .contiguous()?
            .apply_op2_no_bwd(&rhs.detach().contiguous()?, &convolution)
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        lhs: &CpuStorage,
        lhs_layout: &Layout,
        rhs: &CpuStorage,
        rhs_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        for_real!(lhs, T => {
            let lhs: &[T] = elements(lhs, lhs_layout)?;
            let rhs: &[T] = elements(rhs, rhs_layout)?;
            let (result, shape) = match self.product {
                Product::Output => (forward(g, lhs, rhs), g.output_shape()),
                Product::Input => (input_gradient(g, lhs, rhs), g.input_shape()),
                Product::Weight => (weight_gradient(g, lhs, rhs), g.weight_shape()),
            };
            Ok((T::to_cpu_storage_owned(result), Shape::from(shape)))
        })
    }

    fn bwd(
        &self,
        lhs: &Tensor,
        rhs: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let compute = |wanted: &Tensor, product, a: &Tensor, b: &Tensor| match wanted.track_op() {
            true => self.compute(product, a, b).map(Some),
            false => Ok(None),
        };
        match self.product {
            // (input, weight)
            Product::Output => Ok((
                compute(lhs, Product::Input, grad, rhs)?,
                compute(rhs, Product::Weight, lhs, grad)?,
            )),
            // (output, weight)
            Product::Input => Ok((
                compute(lhs, Product::Output, grad, rhs)?,
                compute(rhs, Product::Weight, grad, lhs)?,
            )),
            // (input, output)
            Product::Weight => Ok((
                compute(lhs, Product::Input, rhs, grad)?,
                compute(rhs, Product::Output, lhs, grad)?,
            )),
        }
    }
}
