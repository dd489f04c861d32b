use rayon::prelude::*;

use crate::Keep;
use crate::cpu::{Real, lane_sums, min_chunks, unwritten, vectorised};
use crate::many::{Backward, Operation};

/// Rows of so many numbers.
pub(super) struct ScaleRows {
    pub(super) size: usize,
}

impl ScaleRows {
    fn scale<T: Real>(&self, xs: &[T], factors: &[T]) -> Vec<T> {
        // SAFETY: every row is written.
        let mut ys = unsafe { unwritten(xs.len()) };
        let rows = ys.par_chunks_mut(self.size);
        rows.zip(xs.par_chunks(self.size))
            .zip(factors)
            .with_min_len(min_chunks(self.size))
            .for_each(|((ys, xs), &factor)| {
                vectorised!({
                    for (y, &x) in ys.iter_mut().zip(xs) {
                        *y = x * factor;
                    }
                });
            });
        ys
    }

    /// The product of each row with its gradient.
    fn products<T: Real>(&self, xs: &[T], grads: &[T]) -> Vec<T> {
        let rows = xs.par_chunks(self.size).zip(grads.par_chunks(self.size));
        rows.with_min_len(min_chunks(self.size))
            .map(|(xs, grads)| {
                vectorised!({
                    let [sum] = lane_sums(
                        [xs, grads],
                        #[inline(always)]
                        |[x, grad]| [x * grad],
                    );
                    T::of(sum)
                })
            })
            .collect()
    }
}

impl Operation for ScaleRows {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        (self.scale(arguments[0], arguments[1]), ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        pass.each(|argument| match argument {
            0 => self.scale(pass.grads, pass.arguments[1]),
            _ => self.products(pass.arguments[0], pass.grads),
        })
    }
}
