use rayon::prelude::*;

use crate::Keep;
use crate::cpu::{Real, dot};
use crate::many::{Backward, Operation};

/// Softmax of every row of so many numbers.
pub(super) struct Softmax {
    pub(super) size: usize,
}

fn softmax<T: Real>(xs: &[T], size: usize) -> Vec<T> {
    let mut ys = vec![T::zero(); xs.len()];
    ys.par_chunks_mut(size.max(1))
        .zip(xs.par_chunks(size.max(1)))
        .for_each(|(ys, xs)| {
            let largest = xs.iter().copied().fold(T::of(f64::NEG_INFINITY), T::larger);
            for (y, &x) in ys.iter_mut().zip(xs) {
                *y = (x - largest).exp();
            }
            let inverse = T::of(1. / crate::cpu::sum(ys));
            for y in ys {
                *y *= inverse;
            }
        });
    ys
}

fn backward<T: Real>(ys: &[T], grads: &[T], size: usize) -> Vec<T> {
    let mut xs = vec![T::zero(); ys.len()];
    let size = size.max(1);
    let rows = xs
        .par_chunks_mut(size)
        .zip(ys.par_chunks(size))
        .zip(grads.par_chunks(size));
    rows.for_each(|((xs, ys), grads)| {
        let mean = T::of(dot(ys, grads));
        for ((x, &y), &grad) in xs.iter_mut().zip(ys).zip(grads) {
            *x = y * (grad - mean);
        }
    });
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
