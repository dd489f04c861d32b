//! Images are computed in parts, each from the first normalisation to the last sum by one task, so
//! that its numbers stay in that core's cache and nobody waits for the others.

use rayon::prelude::*;

use super::Keep;
use super::cpu::{Op, Parameters, Weights};
use crate::attention::Heads;
use crate::cpu::{Buffer, Matrix, MatrixMut, Real, Threads, Write, add, for_each_row, gemm};

/// Rows that a part should have at least: a layer's weights are packed for every part.
const ROWS: usize = 256;

/// What the forward pass of some images keeps.
#[derive(Debug)]
pub(super) struct Kept<T: Real> {
    pub(super) qkv: Buffer<T>,
    pub(super) mixed: Buffer<T>,
    /// The sum after the attention.
    pub(super) middle: Buffer<T>,
    /// The MLP's hidden layer before its GELU.
    pub(super) hidden: Buffer<T>,
}

impl<T: Real> Weights<'_, T> {
    /// `xs · weightᵀ + bias`
    fn forward(&self, xs: &[T], threads: Threads) -> Buffer<T> {
        let rows = xs.len() / self.layer.inputs;
        let mut ys = Buffer::new(rows * self.layer.outputs);
        let mut write = Write::Replace;
        if let Some(bias) = self.bias {
            for_each_row(&mut ys, bias.len(), |row| row.copy_from_slice(bias));
            write = Write::Add;
        }
        self.product(xs, &mut ys, write, threads);
        ys
    }

    /// `residual + xs · weightᵀ + bias`
    fn forward_residual(&self, xs: &[T], residual: &[T], ys: &mut [T], threads: Threads) {
        ys.copy_from_slice(residual);
        if let Some(bias) = self.bias {
            for_each_row(ys, bias.len(), |row| add(row, bias));
        }
        self.product(xs, ys, Write::Add, threads);
    }

    fn product(&self, xs: &[T], ys: &mut [T], write: Write, threads: Threads) {
        let (inputs, outputs) = (self.layer.inputs, self.layer.outputs);
        let rows = xs.len() / inputs;
        let mut out = MatrixMut {
            data: ys,
            rows,
            columns: outputs,
            row_stride: outputs,
        };
        let weight = Matrix::new(self.weight, outputs, inputs);
        let xs = Matrix::new(xs, rows, inputs);
        gemm(&mut out, write, xs, weight.t(), threads);
    }
}

impl Op {
    /// Images of a part. It does not depend on the number of threads, as no result may.
    pub(super) fn images(&self) -> usize {
        ROWS.div_ceil(self.heads.tokens).min(self.heads.batch)
    }

    /// Parts of so many numbers for each token.
    pub(super) fn part(&self, size: usize) -> usize {
        self.images() * self.heads.tokens * size
    }

    /// The attention of so many rows.
    pub(super) fn heads_of(&self, rows: usize) -> Heads {
        Heads {
            batch: rows / self.heads.tokens,
            ..self.heads
        }
    }

    pub(super) fn threads(&self) -> Threads {
        Threads::inside(self.heads.batch.div_ceil(self.images()))
    }

    /// The result, and what the backward pass needs if it is wanted.
    pub(super) fn forward_parts<T: Real>(
        &self,
        p: &Parameters<'_, T>,
        keep: Keep,
    ) -> (Vec<T>, Vec<Kept<T>>) {
        let mut ys = vec![T::zero(); p.xs.len()];
        let len = self.part(p.norm1.0.len());
        let parts = ys.par_chunks_mut(len).zip(p.xs.par_chunks(len));
        let kept = parts
            .filter_map(|(ys, xs)| {
                let kept = self.forward_part(p, xs, ys);
                (keep == Keep::Activations).then_some(kept)
            })
            .collect();
        (ys, kept)
    }

    fn forward_part<T: Real>(&self, p: &Parameters<'_, T>, xs: &[T], ys: &mut [T]) -> Kept<T> {
        let threads = self.threads();
        let mut normed = Buffer::new(xs.len());
        self.norm.forward(xs, p.norm1.0, p.norm1.1, &mut normed);
        let qkv = p.qkv.forward(&normed, threads);
        let mut mixed = Buffer::new(xs.len());
        let heads = self.heads_of(xs.len() / p.norm1.0.len());
        heads.forward(&qkv, &mut mixed);
        let mut middle = Buffer::new(xs.len());
        p.projection
            .forward_residual(&mixed, xs, &mut middle, threads);
        self.norm
            .forward(&middle, p.norm2.0, p.norm2.1, &mut normed);
        let hidden = p.linear1.forward(&normed, threads);
        let mut activated = Buffer::new(hidden.len());
        self.gelu.forward(&hidden, &mut activated);
        p.linear2.forward_residual(&activated, &middle, ys, threads);
        Kept {
            qkv,
            mixed,
            middle,
            hidden,
        }
    }
}
