use rayon::prelude::*;

use crate::Keep;
use crate::cpu::{
    Real, add, lane_centred_squares, lane_sum, lane_sums, min_chunks, unwritten, vectorised,
};
use crate::many::{Backward, Operation};

/// Rows whose share of the gradients of weight and bias is summed by one task.
const ROWS: usize = 64;

/// Kernels on rows of as many numbers as the weight has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerNorm {
    pub(crate) eps: f64,
}

/// The gradients of the weight and the bias.
#[derive(Debug)]
pub(crate) struct Gradients<T> {
    pub(crate) weight: Vec<T>,
    pub(crate) bias: Vec<T>,
}

impl<T: Real> Gradients<T> {
    fn zeros(size: usize) -> Self {
        Self {
            weight: vec![T::zero(); size],
            bias: vec![T::zero(); size],
        }
    }

    /// The sum over the parts of the rows, in their order.
    pub(crate) fn sum<'a>(size: usize, parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::zeros(size);
        for part in parts {
            add(&mut sum.weight, &part.weight);
            add(&mut sum.bias, &part.bias);
        }
        sum
    }
}

impl LayerNorm {
    /// Mean and inverse standard deviation of a row.
    #[inline(always)]
    fn statistics<T: Real>(self, row: &[T]) -> (T, T) {
        let count = row.len() as f64;
        let mean = T::of(lane_sum(row) / count);
        let variance = lane_centred_squares(row, mean) / count;
        (mean, T::of(1. / (variance + self.eps).sqrt()))
    }

    pub(crate) fn forward<T: Real>(self, xs: &[T], weight: &[T], bias: &[T], ys: &mut [T]) {
        let size = weight.len();
        let task = size * min_chunks(size);
        ys.par_chunks_mut(task)
            .zip(xs.par_chunks(task))
            .for_each(|(ys, xs)| {
                vectorised!({
                    for (ys, xs) in ys.chunks_exact_mut(size).zip(xs.chunks_exact(size)) {
                        let (mean, inverse) = self.statistics(xs);
                        let row = ys.iter_mut().zip(xs).zip(weight).zip(bias);
                        for (((y, &x), &weight), &bias) in row {
                            *y = (x - mean) * inverse * weight + bias;
                        }
                    }
                });
            });
    }

    /// Writes the gradient of the input.
    pub(crate) fn backward<T: Real>(
        self,
        xs: &[T],
        weight: &[T],
        grads: &[T],
        input: &mut [T],
    ) -> Gradients<T> {
        let size = weight.len();
        let shares: Vec<Gradients<T>> = input
            .par_chunks_mut(size * ROWS)
            .zip(xs.par_chunks(size * ROWS))
            .zip(grads.par_chunks(size * ROWS))
            .with_min_len(min_chunks(size * ROWS))
            .map(|((input, xs), grads)| {
                let mut share = Gradients::zeros(size);
                vectorised!({
                    let rows = input.chunks_exact_mut(size).zip(xs.chunks_exact(size));
                    for ((input, xs), grads) in rows.zip(grads.chunks_exact(size)) {
                        self.backward_row(xs, weight, grads, input, &mut share);
                    }
                });
                share
            })
            .collect();
        Gradients::sum(size, &shares)
    }

    #[inline(always)]
    fn backward_row<T: Real>(
        self,
        xs: &[T],
        weight: &[T],
        grads: &[T],
        input: &mut [T],
        share: &mut Gradients<T>,
    ) {
        let count = xs.len() as f64;
        let (mean, inverse) = self.statistics(xs);
        let [plain, along] = lane_sums(
            [xs, weight, grads],
            #[inline(always)]
            |[x, weight, grad]| [grad * weight, grad * weight * (x - mean)],
        );
        let of_mean = T::of(plain / count);
        let of_scale = T::of(along * inverse.f64() / count) * inverse;
        let sums = share.weight.iter_mut().zip(share.bias.iter_mut());
        let row = input.iter_mut().zip(xs).zip(grads).zip(weight);
        for ((((input, &x), &grad), &weight), (of_weight, of_bias)) in row.zip(sums) {
            *input = (grad * weight - of_mean - (x - mean) * of_scale) * inverse;
            *of_weight += grad * ((x - mean) * inverse);
            *of_bias += grad;
        }
    }
}

impl Operation for LayerNorm {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        let (xs, weight, bias) = (arguments[0], arguments[1], arguments[2]);
        // SAFETY: every row is written.
        let mut ys = unsafe { unwritten(xs.len()) };
        LayerNorm::forward(*self, xs, weight, bias, &mut ys);
        (ys, ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        let (xs, weight) = (pass.arguments[0], pass.arguments[1]);
        // SAFETY: every row is written.
        let mut input = unsafe { unwritten(xs.len()) };
        let Gradients { weight, bias } =
            LayerNorm::backward(*self, xs, weight, pass.grads, &mut input);
        vec![Some(input), Some(weight), Some(bias)]
    }
}
