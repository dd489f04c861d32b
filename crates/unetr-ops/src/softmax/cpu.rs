use rayon::prelude::*;

use crate::Keep;
use crate::cpu::{Real, lane_sum, lane_sums, largest, min_chunks, vectorised};
use crate::many::{Backward, Operation};

/// Softmax of every row of so many numbers.
pub(super) struct Softmax {
    pub(super) size: usize,
}

/// Takes scores to the softmax of `scale` times them.
pub(crate) fn softmax_in_place<T: Real>(row: &mut [T], scale: T) {
    vectorised!({
        let largest = largest(row);
        for x in row.iter_mut() {
            *x = ((*x - largest) * scale).exp();
        }
        let inverse = T::of(1. / lane_sum(row));
        for x in row.iter_mut() {
            *x *= inverse;
        }
    });
}

/// Takes the gradient of a softmax to that of the scores: `scale · y · (grad - Σ y·grad)`.
pub(crate) fn softmax_gradient_in_place<T: Real>(ys: &[T], grads: &mut [T], scale: T) {
    vectorised!({
        let [mean] = lane_sums(
            [ys, grads],
            #[inline(always)]
            |[y, grad]| [y * grad],
        );
        let mean = T::of(mean);
        for (grad, &y) in grads.iter_mut().zip(ys) {
            *grad = y * (*grad - mean) * scale;
        }
    });
}

fn softmax<T: Real>(xs: &[T], size: usize) -> Vec<T> {
    let mut ys = xs.to_vec();
    ys.par_chunks_mut(size.max(1))
        .with_min_len(min_chunks(size))
        .for_each(|row| softmax_in_place(row, T::one()));
    ys
}

fn backward<T: Real>(ys: &[T], grads: &[T], size: usize) -> Vec<T> {
    let mut xs = grads.to_vec();
    xs.par_chunks_mut(size.max(1))
        .zip(ys.par_chunks(size.max(1)))
        .with_min_len(min_chunks(size))
        .for_each(|(row, ys)| softmax_gradient_in_place(ys, row, T::one()));
    xs
}

impl Operation for Softmax {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        (softmax(arguments[0], self.size), ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        vec![Some(backward(pass.result, pass.grads, self.size))]
    }
}
