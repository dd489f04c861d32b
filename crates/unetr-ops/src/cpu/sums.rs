//! Sums that neither depend on threads nor lose precision: short runs in sixteen lanes of the
//! element type, which vectorise, and the runs added up in f64.

use rayon::prelude::*;

use super::{Real, vectorised};

const RUN: usize = 1024;
const LANES: usize = 16;

#[inline(always)]
fn lane_sum<T: Real>(count: usize, term: impl Fn(usize) -> T) -> f64 {
    let mut total = 0.;
    for start in (0..count).step_by(RUN) {
        let end = count.min(start + RUN);
        let mut lanes = [T::zero(); LANES];
        let whole = start + (end - start) / LANES * LANES;
        let mut i = start;
        while i < whole {
            for (lane, sum) in lanes.iter_mut().enumerate() {
                *sum += term(i + lane);
            }
            i += LANES;
        }
        for (sum, i) in lanes.iter_mut().zip(whole..end) {
            *sum += term(i);
        }
        total += lanes.iter().map(|lane| lane.f64()).sum::<f64>();
    }
    total
}

/// `Σ x`
pub(crate) fn sum<T: Real>(xs: &[T]) -> f64 {
    vectorised!(lane_sum(
        xs.len(),
        #[inline(always)]
        |i| xs[i]
    ))
}

/// `Σ x·y` of two slices of one length.
pub(crate) fn dot<T: Real>(xs: &[T], ys: &[T]) -> f64 {
    let ys = &ys[..xs.len()];
    vectorised!(lane_sum(
        xs.len(),
        #[inline(always)]
        |i| xs[i] * ys[i]
    ))
}

/// `Σ (x - mean)²`
pub(crate) fn centred_sum_of_squares<T: Real>(xs: &[T], mean: T) -> f64 {
    vectorised!(lane_sum(
        xs.len(),
        #[inline(always)]
        |i| (xs[i] - mean) * (xs[i] - mean)
    ))
}

/// `Σ x·(y - mean)` of two slices of one length.
pub(crate) fn centred_dot<T: Real>(xs: &[T], ys: &[T], mean: T) -> f64 {
    let ys = &ys[..xs.len()];
    vectorised!(lane_sum(
        xs.len(),
        #[inline(always)]
        |i| xs[i] * (ys[i] - mean)
    ))
}

/// `xs += ys`
pub(crate) fn add<T: Real>(xs: &mut [T], ys: &[T]) {
    vectorised!({
        for (x, &y) in xs.iter_mut().zip(ys) {
            *x += y;
        }
    });
}

/// `xs += constant`
pub(crate) fn add_constant<T: Real>(xs: &mut [T], constant: T) {
    vectorised!({
        for x in xs {
            *x += constant;
        }
    });
}

/// Rows that one task adds up.
const ROWS: usize = 64;

/// The sums over the columns of a matrix of rows of `size` numbers, which do not depend on the number
/// of threads.
pub(crate) fn column_sums<T: Real>(xs: &[T], size: usize) -> Vec<T> {
    let chunks = xs.par_chunks(size.max(1) * ROWS);
    let shares: Vec<Vec<T>> = chunks
        .with_min_len(super::min_chunks(size * ROWS))
        .map(|rows| {
            let mut share = vec![T::zero(); size];
            for row in rows.chunks_exact(size) {
                add(&mut share, row);
            }
            share
        })
        .collect();
    let mut sums = vec![T::zero(); size];
    for share in &shares {
        add(&mut sums, share);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_any_length_are_exact_on_integers() {
        for count in [0, 1, 15, 16, 17, 1023, 1024, 1025, 5000] {
            let xs: Vec<f32> = (0..count).map(|i| (i % 7) as f32).collect();
            let exact: f64 = xs.iter().map(|&x| f64::from(x)).sum();
            let squares: f64 = xs.iter().map(|&x| f64::from(x * x)).sum();
            let centred: f64 = xs.iter().map(|&x| f64::from((x - 3.) * (x - 3.))).sum();
            assert_eq!(sum(&xs), exact);
            assert_eq!(dot(&xs, &xs), squares);
            assert_eq!(centred_sum_of_squares(&xs, 3.), centred);
        }
    }
}
