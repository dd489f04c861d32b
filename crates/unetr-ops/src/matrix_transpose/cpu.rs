use rayon::prelude::*;

use crate::Keep;
use crate::cpu::{Real, Rows, Write, min_chunks, unwritten};
use crate::many::{Backward, Operation};

/// Rows of the result that one task writes.
const BAND: usize = 32;

/// The sizes of matrices that follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrices {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Matrices {
    fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
        }
    }

    fn transpose<T: Real>(self, xs: &[T]) -> Vec<T> {
        let Self { rows, columns } = self;
        // SAFETY: every band is written.
        let mut result = unsafe { unwritten(xs.len()) };
        let matrices = result.par_chunks_mut(rows * columns);
        let matrices = matrices.zip(xs.par_chunks(rows * columns));
        matrices.for_each(|(result, xs)| {
            let bands = result.par_chunks_mut(BAND * rows).enumerate();
            bands
                .with_min_len(min_chunks(BAND * rows))
                .for_each(|(band, result)| {
                    let from = Rows {
                        first: xs[band * BAND..].as_ptr(),
                        stride: columns,
                    };
                    let size = (rows, result.len() / rows);
                    let to = Rows {
                        first: result.as_mut_ptr(),
                        stride: rows,
                    };
                    // SAFETY: columns of one matrix, and rows of the other for them.
                    unsafe { T::transpose(from, size, to, Write::Replace) };
                });
        });
        result
    }
}

impl Operation for Matrices {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        (self.transpose(arguments[0]), ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        vec![Some(self.transposed().transpose(pass.grads))]
    }
}
