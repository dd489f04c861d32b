use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;

use super::OP;
use crate::cpu::{
    Real, for_real, min_chunks, storage_of, vectorised, with_elements, with_elements_mut,
};

const CHUNK: usize = 16 * 1024;

/// All averages in one parallel region.
pub(super) fn moving_averages(pairs: &[(&Var, &Tensor)], keep: f64) -> Result<()> {
    pairs.par_iter().try_for_each(|&(average, value)| {
        let value = value.detach();
        let value = match storage_of(average) == storage_of(&value) {
            true => value.copy()?.contiguous()?,
            false => value.contiguous()?,
        };
        for_real!(value, T => with_elements_mut(OP, average, |average: &mut [T]| {
            with_elements(&value, |value: &[T]| {
                move_towards(average, value, keep);
            })
        }))
    })
}

fn move_towards<T: Real>(average: &mut [T], value: &[T], keep: f64) {
    let (keep, take) = (T::of(keep), T::of(1. - keep));
    let chunks = average.par_chunks_mut(CHUNK).zip(value.par_chunks(CHUNK));
    chunks
        .with_min_len(min_chunks(CHUNK))
        .for_each(|(average, value)| {
            vectorised!({
                for (average, &value) in average.iter_mut().zip(value) {
                    *average = keep * *average + take * value;
                }
            });
        });
}
