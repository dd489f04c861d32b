//! First the gradients of the images, in the parts of the forward pass; then those of the parameters,
//! strip by strip.

use rayon::prelude::*;

use super::cpu::{Op, Parameters, Weights};
use super::forward::Kept;
use crate::cpu::{
    Buffer, Matrix, MatrixMut, Real, Threads, Write, add, add_in_parallel, column_sums, gemm,
};
use crate::layer_norm::Gradients as Norm;

/// Rows of a weight that one task computes the gradient of.
const STRIP: usize = 256;

/// What the gradients of the parameters are computed from: the input and the gradient of the result
/// of every layer.
struct Part<'a, T: Real> {
    norm1: Norm<T>,
    qkv: (Buffer<T>, Buffer<T>),
    projection: (Buffer<T>, Buffer<T>),
    norm2: Norm<T>,
    linear1: (Buffer<T>, Buffer<T>),
    linear2: (Buffer<T>, &'a [T]),
}

impl<T: Real> Weights<'_, T> {
    /// `grads · weight`
    fn input_gradient(&self, grads: &[T], threads: Threads) -> Buffer<T> {
        let (inputs, outputs) = (self.layer.inputs, self.layer.outputs);
        let rows = grads.len() / outputs;
        let mut data = Buffer::new(rows * inputs);
        let mut out = MatrixMut {
            data: &mut data,
            rows,
            columns: inputs,
            row_stride: inputs,
        };
        let grads = Matrix::new(grads, rows, outputs);
        let weight = Matrix::new(self.weight, outputs, inputs);
        gemm(&mut out, Write::Replace, grads, weight, threads);
        data
    }

    /// `Σ gradsᵀ · xs` over the parts.
    fn weight_gradient(&self, parts: &[(&[T], &[T])]) -> Vec<T> {
        let (inputs, outputs) = (self.layer.inputs, self.layer.outputs);
        let mut gradient = vec![T::zero(); outputs * inputs];
        let strips = gradient.par_chunks_mut(STRIP * inputs).enumerate();
        strips.for_each(|(strip, gradient)| {
            let first = strip * STRIP;
            let mut out = MatrixMut {
                rows: gradient.len() / inputs,
                columns: inputs,
                row_stride: inputs,
                data: gradient,
            };
            for (n, (xs, grads)) in parts.iter().enumerate() {
                let rows = xs.len() / inputs;
                let grads = Matrix::strided(&grads[first..], rows, out.rows, outputs);
                let xs = Matrix::new(xs, rows, inputs);
                let write = if n == 0 { Write::Replace } else { Write::Add };
                gemm(&mut out, write, grads.t(), xs, Threads::One);
            }
        });
        gradient
    }

    fn bias_gradient(&self, parts: &[(&[T], &[T])]) -> Vec<T> {
        let mut sums = vec![T::zero(); self.layer.outputs];
        for (_, grads) in parts {
            add(&mut sums, &column_sums(grads, self.layer.outputs));
        }
        sums
    }
}

/// The gradients of the arguments, in their order.
struct Gradients<'a, T> {
    /// Which arguments have no gradient yet, and whether theirs is wanted.
    wanted: &'a [bool],
    values: Vec<Option<Vec<T>>>,
}

impl<T: Real> Gradients<'_, T> {
    /// The gradient of the next argument, computed if it is wanted.
    fn push(&mut self, gradient: impl FnOnce() -> Vec<T>) {
        let wanted = self.wanted.split_first();
        self.values.push(wanted.and_then(|(wanted, others)| {
            self.wanted = others;
            wanted.then(gradient)
        }));
    }

    fn push_norm<'a>(&mut self, size: usize, parts: impl Iterator<Item = &'a Norm<T>>) {
        let Norm { weight, bias } = Norm::sum(size, parts);
        self.push(|| weight);
        self.push(|| bias);
    }

    fn push_layer<'a>(
        &mut self,
        layer: &Weights<'_, T>,
        parts: impl Iterator<Item = (&'a [T], &'a [T])>,
    ) {
        let parts: Vec<_> = parts.collect();
        self.push(|| layer.weight_gradient(&parts));
        if layer.bias.is_some() {
            self.push(|| layer.bias_gradient(&parts));
        }
    }
}

impl Op {
    /// The gradients of the arguments that are wanted, in their order.
    pub(super) fn backward_parts<T: Real>(
        &self,
        p: &Parameters<'_, T>,
        kept: Vec<Kept<T>>,
        grads: &[T],
        wanted: &[bool],
    ) -> Vec<Option<Vec<T>>> {
        let size = p.norm1.0.len();
        let len = self.part(size);
        let mut of_xs = vec![T::zero(); p.xs.len()];
        let parts: Vec<Part<'_, T>> = of_xs
            .par_chunks_mut(len)
            .zip(p.xs.par_chunks(len))
            .zip(grads.par_chunks(len))
            .zip(kept)
            .map(|(((of_xs, xs), grads), kept)| self.backward_part(p, kept, xs, grads, of_xs))
            .collect();
        let mut gradients = Gradients {
            wanted,
            values: Vec::with_capacity(wanted.len()),
        };
        gradients.push(|| of_xs);
        gradients.push_norm(size, parts.iter().map(|part| &part.norm1));
        let layer = parts.iter().map(|part| (&*part.qkv.0, &*part.qkv.1));
        gradients.push_layer(&p.qkv, layer);
        let layer = parts
            .iter()
            .map(|part| (&*part.projection.0, &*part.projection.1));
        gradients.push_layer(&p.projection, layer);
        gradients.push_norm(size, parts.iter().map(|part| &part.norm2));
        let layer = parts
            .iter()
            .map(|part| (&*part.linear1.0, &*part.linear1.1));
        gradients.push_layer(&p.linear1, layer);
        let layer = parts.iter().map(|part| (&*part.linear2.0, part.linear2.1));
        gradients.push_layer(&p.linear2, layer);
        gradients.values
    }

    fn backward_part<'a, T: Real>(
        &self,
        p: &Parameters<'_, T>,
        kept: Kept<T>,
        xs: &[T],
        grads: &'a [T],
        of_xs: &mut [T],
    ) -> Part<'a, T> {
        let threads = self.threads();
        let mut activated = Buffer::new(kept.hidden.len());
        self.gelu.forward(&kept.hidden, &mut activated);
        let mut of_hidden = p.linear2.input_gradient(grads, threads);
        self.gelu.backward(&kept.hidden, &mut of_hidden);
        let mut normed2 = Buffer::new(xs.len());
        let (weight, bias) = p.norm2;
        self.norm.forward(&kept.middle, weight, bias, &mut normed2);
        let of_normed = p.linear1.input_gradient(&of_hidden, threads);
        let mut of_middle = Buffer::new(xs.len());
        let norm2 = self
            .norm
            .backward(&kept.middle, weight, &of_normed, &mut of_middle);
        add_in_parallel(&mut of_middle, grads);

        let of_mixed = p.projection.input_gradient(&of_middle, threads);
        let mut of_qkv = Buffer::new(kept.qkv.len());
        let heads = self.heads_of(xs.len() / weight.len());
        heads.backward(&kept.qkv, &of_mixed, &mut of_qkv);
        let mut normed1 = Buffer::new(xs.len());
        let (weight, bias) = p.norm1;
        self.norm.forward(xs, weight, bias, &mut normed1);
        let of_normed = p.qkv.input_gradient(&of_qkv, threads);
        let norm1 = self.norm.backward(xs, weight, &of_normed, of_xs);
        add_in_parallel(of_xs, &of_middle);
        Part {
            norm1,
            qkv: (normed1, of_qkv),
            projection: (kept.mixed, of_middle),
            norm2,
            linear1: (normed2, of_hidden),
            linear2: (activated, grads),
        }
    }
}
