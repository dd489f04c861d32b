//! Every head of every image is computed on its own, straight from the packed queries, keys and
//! values; the attention weights live in a buffer, and the backward pass computes them again.

use rayon::prelude::*;

use crate::cpu::{
    Buffer, Matrix, MatrixMut, Product, Real, Threads, Write, dot, gemm, min_chunks, sum,
    unwritten, vectorised,
};
use crate::many::{Backward, Operation};
use crate::{Keep, Precision};

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) batch: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
    /// Numbers of one token in one head.
    pub(crate) size: usize,
    pub(crate) precision: Precision,
}

/// Queries, keys and values in the order they are packed.
const QUERIES: usize = 0;
const KEYS: usize = 1;
const VALUES: usize = 2;

impl Heads {
    fn hidden(self) -> usize {
        self.heads * self.size
    }

    /// Elements of one head of one image.
    fn len(self) -> usize {
        self.tokens * self.size
    }

    /// Queries, keys or values of a task: a head of an image.
    fn part<T>(self, qkv: &[T], task: usize, part: usize) -> Matrix<'_, T> {
        let (image, head) = (task / self.heads, task % self.heads);
        let row = 3 * self.hidden();
        let start = image * self.tokens * row + part * self.hidden() + head * self.size;
        Matrix::strided(&qkv[start..], self.tokens, self.size, row)
    }

    /// `out = lhs · rhs`, on this thread.
    fn product<T: Real>(self, out: &mut [T], lhs: Matrix<'_, T>, rhs: Matrix<'_, T>) {
        let mut out = MatrixMut::new(out, lhs.rows, rhs.columns);
        let how = Product {
            precision: self.precision,
            ..Threads::One.into()
        };
        gemm(&mut out, Write::Replace, lhs, rhs, how);
    }

    fn square<T: Real>(self) -> Buffer<T> {
        Buffer::new(self.tokens * self.tokens)
    }

    fn scale(self) -> f64 {
        (self.size as f64).powf(-0.5)
    }

    /// The attention weights of a task.
    fn weights<T: Real>(self, qkv: &[T], task: usize) -> Buffer<T> {
        let mut weights = self.square();
        let (queries, keys) = (self.part(qkv, task, QUERIES), self.part(qkv, task, KEYS));
        self.product(&mut weights, queries, keys.t());
        let scale = T::of(self.scale());
        for row in weights.chunks_exact_mut(self.tokens) {
            vectorised!({
                let largest = row
                    .iter()
                    .copied()
                    .fold(T::of(f64::NEG_INFINITY), T::larger);
                for weight in row.iter_mut() {
                    *weight = ((*weight - largest) * scale).exp();
                }
            });
            let inverse = T::of(1. / sum(row));
            vectorised!({
                for weight in row.iter_mut() {
                    *weight *= inverse;
                }
            });
        }
        weights
    }

    /// The fewest tasks that are worth a thread.
    fn min_tasks(self) -> usize {
        min_chunks(self.tokens * (self.tokens + self.size))
    }

    /// `[batch, tokens, hidden]` from `[batch, tokens, 3·hidden]`
    pub(crate) fn forward<T: Real>(self, qkv: &[T], mixed: &mut [T]) {
        let mut heads = Buffer::new(mixed.len());
        heads
            .par_chunks_mut(self.len())
            .with_min_len(self.min_tasks())
            .enumerate()
            .for_each(|(task, mixed)| {
                let weights = self.weights(qkv, task);
                let weights = Matrix::new(&weights, self.tokens, self.tokens);
                self.product(mixed, weights, self.part(qkv, task, VALUES));
            });
        self.interleave::<T, 1>(&heads, mixed);
    }

    /// The gradient of `qkv` from that of the result.
    pub(crate) fn backward<T: Real>(self, qkv: &[T], grads: &[T], of_qkv: &mut [T]) {
        let mut heads = Buffer::new(of_qkv.len());
        heads
            .par_chunks_mut(3 * self.len())
            .with_min_len(self.min_tasks())
            .enumerate()
            .for_each(|(task, result)| self.backward_head(qkv, grads, task, result));
        self.interleave::<T, 3>(&heads, of_qkv);
    }

    /// With weights `P = softmax(S)`, `∂S = P ∘ (∂P - rowsum(P ∘ ∂P))`.
    fn backward_head<T: Real>(self, qkv: &[T], grads: &[T], task: usize, result: &mut [T]) {
        let (image, head) = (task / self.heads, task % self.heads);
        let start = image * self.tokens * self.hidden() + head * self.size;
        let grads = Matrix::strided(&grads[start..], self.tokens, self.size, self.hidden());
        let part = |part| self.part(qkv, task, part);
        let weights = self.weights(qkv, task);
        let matrix = |values| Matrix::new(values, self.tokens, self.tokens);
        let mut scores = self.square();
        self.product(&mut scores, grads, part(VALUES).t());
        let scale = T::of(self.scale());
        let rows = scores.chunks_exact_mut(self.tokens);
        for (scores, weights) in rows.zip(weights.chunks_exact(self.tokens)) {
            let mean = T::of(dot(weights, scores));
            vectorised!({
                for (score, &weight) in scores.iter_mut().zip(weights) {
                    *score = weight * (*score - mean) * scale;
                }
            });
        }
        let (queries, others) = result.split_at_mut(self.len());
        let (keys, values) = others.split_at_mut(self.len());
        self.product(queries, matrix(&scores), part(KEYS));
        self.product(keys, matrix(&scores).t(), part(QUERIES));
        self.product(values, matrix(&weights).t(), grads);
    }

    /// `[batch, tokens, parts·hidden]` from `[batch, heads, parts, tokens, size]`
    fn interleave<T: Real, const PARTS: usize>(self, heads: &[T], result: &mut [T]) {
        let row = PARTS * self.hidden();
        result
            .par_chunks_mut((self.tokens * row).max(1))
            .zip(heads.par_chunks((self.tokens * row).max(1)))
            .with_min_len(min_chunks(self.tokens * row))
            .for_each(|(result, heads)| {
                for (i, values) in heads.chunks_exact(self.len()).enumerate() {
                    let (head, part) = (i / PARTS, i % PARTS);
                    let column = part * self.hidden() + head * self.size;
                    let values = values.chunks_exact(self.size);
                    for (row, values) in result.chunks_exact_mut(row).zip(values) {
                        row[column..column + self.size].copy_from_slice(values);
                    }
                }
            });
    }
}

impl Operation for Heads {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        // SAFETY: every head of every token is written.
        let mut mixed = unsafe { unwritten(arguments[0].len() / 3) };
        Heads::forward(*self, arguments[0], &mut mixed);
        (mixed, ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        // SAFETY: every head of every token is written.
        let mut of_qkv = unsafe { unwritten(pass.arguments[0].len()) };
        Heads::backward(*self, pass.arguments[0], pass.grads, &mut of_qkv);
        vec![Some(of_qkv)]
    }
}
