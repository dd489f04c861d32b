//! Every head of every image is computed on its own, straight from the packed queries, keys and
//! values; the attention weights live in a buffer, and the backward pass computes them again.

use rayon::prelude::*;

use crate::cpu::{
    Buffer, Matrix, MatrixMut, Product, Real, Rows, Shared, Threads, Write, gemm, gemm_shared,
    min_chunks, unwritten,
};
use crate::many::{Backward, Operation};
use crate::softmax::{softmax_gradient_in_place, softmax_in_place};
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
/// How many they are.
const PARTS: usize = 3;

impl Heads {
    fn hidden(self) -> usize {
        self.heads * self.size
    }

    /// Where a task, which is a head of an image, begins in rows of so many parts.
    fn start(self, task: usize, parts: usize, part: usize) -> usize {
        let (image, head) = (task / self.heads, task % self.heads);
        (image * self.tokens * parts + part) * self.hidden() + head * self.size
    }

    /// Queries, keys or values of a task.
    fn part<T>(self, qkv: &[T], task: usize, part: usize) -> Matrix<'_, T> {
        let start = self.start(task, PARTS, part);
        Matrix::strided(&qkv[start..], self.tokens, self.size, PARTS * self.hidden())
    }

    /// A task's numbers of one part in a result, which tasks share.
    ///
    /// # Safety
    /// There is such a task.
    unsafe fn result<T: Real>(
        self,
        result: Shared<T>,
        task: usize,
        parts: usize,
        part: usize,
    ) -> Rows<Shared<T>> {
        Rows {
            // SAFETY: the task's first number is in the result.
            first: Shared(unsafe { result.0.add(self.start(task, parts, part)) }),
            stride: parts * self.hidden(),
        }
    }

    /// How each product is computed: on this thread.
    fn product<T>(self) -> Product<'static, T> {
        Product {
            precision: self.precision,
            ..Threads::One.into()
        }
    }

    /// `lhs · rhsᵀ` of all tokens with each other.
    fn pairs<T: Real>(self, lhs: Matrix<'_, T>, rhs: Matrix<'_, T>) -> Buffer<T> {
        let mut scores = Buffer::new(self.tokens * self.tokens);
        let mut out = MatrixMut::new(&mut scores, self.tokens, self.tokens);
        gemm(&mut out, Write::Replace, lhs, rhs.t(), self.product());
        scores
    }

    fn scale(self) -> f64 {
        (self.size as f64).powf(-0.5)
    }

    /// The attention weights of a task.
    fn weights<T: Real>(self, qkv: &[T], task: usize) -> Buffer<T> {
        let (queries, keys) = (self.part(qkv, task, QUERIES), self.part(qkv, task, KEYS));
        let mut weights = self.pairs(queries, keys);
        let scale = T::of(self.scale());
        for row in weights.chunks_exact_mut(self.tokens) {
            softmax_in_place(row, scale);
        }
        weights
    }

    /// The fewest tasks that are worth a thread.
    fn min_tasks(self) -> usize {
        min_chunks(self.tokens * (self.tokens + self.size))
    }

    /// Calls `f` for every task.
    fn each_task(self, f: impl Fn(usize) + Sync + Send) {
        (0..self.batch * self.heads)
            .into_par_iter()
            .with_min_len(self.min_tasks())
            .for_each(f);
    }

    /// `[batch, tokens, hidden]` from `[batch, tokens, 3·hidden]`
    pub(crate) fn forward<T: Real>(self, qkv: &[T], mixed: &mut [T]) {
        assert_eq!(PARTS * mixed.len(), qkv.len());
        let mixed = Shared(mixed.as_mut_ptr());
        self.each_task(|task| {
            let weights = self.weights(qkv, task);
            let weights = Matrix::new(&weights, self.tokens, self.tokens);
            let values = self.part(qkv, task, VALUES);
            // SAFETY: `mixed` is borrowed mutably, and each task writes its own head of its own image.
            unsafe {
                let mixed = self.result(mixed, task, 1, 0);
                gemm_shared(mixed, Write::Replace, weights, values, self.product());
            }
        });
    }

    /// The gradient of `qkv` from that of the result.
    pub(crate) fn backward<T: Real>(self, qkv: &[T], grads: &[T], of_qkv: &mut [T]) {
        assert_eq!(qkv.len(), of_qkv.len());
        let of_qkv = Shared(of_qkv.as_mut_ptr());
        // SAFETY: `of_qkv` is borrowed mutably, and as long as `qkv`.
        self.each_task(|task| unsafe { self.backward_head(qkv, grads, task, of_qkv) });
    }

    /// With weights `P = softmax(S)`, `∂S = P ∘ (∂P - rowsum(P ∘ ∂P))`.
    ///
    /// # Safety
    /// `of_qkv` is valid for as many numbers as `qkv` has, and nobody else uses those of this task.
    unsafe fn backward_head<T: Real>(self, qkv: &[T], grads: &[T], task: usize, of_qkv: Shared<T>) {
        let grads = &grads[self.start(task, 1, 0)..];
        let grads = Matrix::strided(grads, self.tokens, self.size, self.hidden());
        let part = |part| self.part(qkv, task, part);
        let weights = self.weights(qkv, task);
        let mut scores = self.pairs(grads, part(VALUES));
        let scale = T::of(self.scale());
        let rows = scores.chunks_exact_mut(self.tokens);
        for (scores, weights) in rows.zip(weights.chunks_exact(self.tokens)) {
            softmax_gradient_in_place(weights, scores, scale);
        }
        let matrix = |values| Matrix::new(values, self.tokens, self.tokens);
        let (scores, weights) = (matrix(&scores), matrix(&weights));
        for (part, lhs, rhs) in [
            (QUERIES, scores, part(KEYS)),
            (KEYS, scores.t(), part(QUERIES)),
            (VALUES, weights.t(), grads),
        ] {
            // SAFETY: as the caller vouches; the parts do not overlap.
            unsafe {
                let out = self.result(of_qkv, task, PARTS, part);
                gemm_shared(out, Write::Replace, lhs, rhs, self.product());
            }
        }
    }
}

impl Operation for Heads {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        // SAFETY: every head of every token is written.
        let mut mixed = unsafe { unwritten(arguments[0].len() / PARTS) };
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
