use rayon::prelude::*;

use crate::Keep;
use crate::cpu::{Real, add, centred_dot, centred_sum_of_squares, min_chunks, sum, vectorised};
use crate::many::{Backward, Operation};

/// Rows whose share of the gradients of weight and bias is summed by one task.
const ROWS: usize = 64;

/// Kernels on rows of as many numbers as the weight has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerNorm {
    pub(crate) eps: f64,
}

/// The gradients of the input, the weight and the bias.
pub(crate) struct Gradients<T> {
    pub(crate) input: Vec<T>,
    pub(crate) weight: Vec<T>,
    pub(crate) bias: Vec<T>,
}

impl LayerNorm {
    /// Mean and inverse standard deviation of a row.
    fn statistics<T: Real>(self, row: &[T]) -> (T, T) {
        let count = row.len() as f64;
        let mean = T::of(sum(row) / count);
        let variance = centred_sum_of_squares(row, mean) / count;
        (mean, T::of(1. / (variance + self.eps).sqrt()))
    }

    pub(crate) fn forward<T: Real>(self, xs: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let size = weight.len();
        let mut ys = vec![T::zero(); xs.len()];
        ys.par_chunks_mut(size)
            .zip(xs.par_chunks(size))
            .with_min_len(min_chunks(size))
            .for_each(|(ys, xs)| {
                let (mean, inverse) = self.statistics(xs);
                vectorised!({
                    for (((y, &x), &weight), &bias) in ys.iter_mut().zip(xs).zip(weight).zip(bias) {
                        *y = (x - mean) * inverse * weight + bias;
                    }
                });
            });
        ys
    }

    pub(crate) fn backward<T: Real>(self, xs: &[T], weight: &[T], grads: &[T]) -> Gradients<T> {
        let size = weight.len();
        let mut input = vec![T::zero(); xs.len()];
        let shares: Vec<(Vec<T>, Vec<T>)> = input
            .par_chunks_mut(size * ROWS)
            .zip(xs.par_chunks(size * ROWS))
            .zip(grads.par_chunks(size * ROWS))
            .with_min_len(min_chunks(size * ROWS))
            .map(|((input, xs), grads)| {
                let mut share = (vec![T::zero(); size], vec![T::zero(); size]);
                let rows = input.chunks_exact_mut(size).zip(xs.chunks_exact(size));
                for ((input, xs), grads) in rows.zip(grads.chunks_exact(size)) {
                    self.backward_row(xs, weight, grads, input, &mut share);
                }
                share
            })
            .collect();
        let (mut of_weight, mut of_bias) = (vec![T::zero(); size], vec![T::zero(); size]);
        for (weight, bias) in &shares {
            add(&mut of_weight, weight);
            add(&mut of_bias, bias);
        }
        Gradients {
            input,
            weight: of_weight,
            bias: of_bias,
        }
    }

    fn backward_row<T: Real>(
        self,
        xs: &[T],
        weight: &[T],
        grads: &[T],
        input: &mut [T],
        (of_weight, of_bias): &mut (Vec<T>, Vec<T>),
    ) {
        let count = xs.len() as f64;
        let (mean, inverse) = self.statistics(xs);
        vectorised!({
            let sums = of_weight.iter_mut().zip(of_bias.iter_mut());
            let row = input.iter_mut().zip(xs).zip(grads).zip(weight);
            for ((((input, &x), &grad), &weight), (of_weight, of_bias)) in row.zip(sums) {
                *input = grad * weight;
                *of_weight += grad * ((x - mean) * inverse);
                *of_bias += grad;
            }
        });
        let of_mean = T::of(sum(input) / count);
        let along = centred_dot(input, xs, mean) * inverse.f64();
        let of_scale = T::of(along / count) * inverse;
        vectorised!({
            for (input, &x) in input.iter_mut().zip(xs) {
                *input = (*input - of_mean - (x - mean) * of_scale) * inverse;
            }
        });
    }
}

impl Operation for LayerNorm {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        let ys = LayerNorm::forward(*self, arguments[0], arguments[1], arguments[2]);
        (ys, ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        let (xs, weight) = (pass.arguments[0], pass.arguments[1]);
        let Gradients {
            input,
            weight,
            bias,
        } = LayerNorm::backward(*self, xs, weight, pass.grads);
        vec![Some(input), Some(weight), Some(bias)]
    }
}
