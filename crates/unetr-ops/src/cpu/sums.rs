//! Sums that neither depend on threads nor lose precision: short runs in many lanes of the element
//! type, which vectorise, and the runs added up in f64.

use rayon::prelude::*;

use super::{Real, vectorised};

const RUN: usize = 4096;
/// Lanes of one sum: several vectors, so that an addition need not wait for the one before,
const ONE_SUM: usize = 64;
/// and of each of two, so that they stay in 16 registers.
const TWO_SUMS: usize = 32;

/// Sums of terms of the elements of slices of one length, in one pass; to be called where code is
/// [`vectorised`] already.
#[inline(always)]
pub(crate) fn lane_sums<T: Real, const M: usize, const N: usize>(
    slices: [&[T]; M],
    terms: impl Fn([T; M]) -> [T; N],
) -> [f64; N] {
    if N == 1 {
        sums_in_lanes::<T, ONE_SUM, M, N>(slices, terms)
    } else {
        sums_in_lanes::<T, TWO_SUMS, M, N>(slices, terms)
    }
}

#[expect(clippy::needless_range_loop, reason = "a lane of several arrays")]
#[inline(always)]
fn sums_in_lanes<T: Real, const LANES: usize, const M: usize, const N: usize>(
    slices: [&[T]; M],
    terms: impl Fn([T; M]) -> [T; N],
) -> [f64; N] {
    let len = slices[0].len();
    let mut totals = [0.; N];
    for start in (0..len).step_by(RUN) {
        let end = len.min(start + RUN);
        let whole = end - (end - start) % LANES;
        let mut lanes = [[T::zero(); LANES]; N];
        for first in (start..whole).step_by(LANES) {
            let mut block = slices;
            for slice in &mut block {
                *slice = &slice[first..first + LANES];
            }
            for lane in 0..LANES {
                let terms = terms(elements(block, lane));
                for n in 0..N {
                    lanes[n][lane] += terms[n];
                }
            }
        }
        // Apart from the others, which stay in registers as long as no index into them varies.
        let mut last = [[T::zero(); LANES]; N];
        for i in whole..end {
            for (last, term) in last.iter_mut().zip(terms(elements(slices, i))) {
                last[i - whole] = term;
            }
        }
        for (last, lanes) in last.iter_mut().zip(lanes) {
            for (last, lane) in last.iter_mut().zip(lanes) {
                *last += lane;
            }
        }
        for (total, mut lanes) in totals.iter_mut().zip(last) {
            let mut count = LANES;
            while count > 1 {
                count /= 2;
                let (low, high) = lanes.split_at_mut(count);
                for (low, &mut high) in low.iter_mut().zip(high) {
                    *low += high;
                }
            }
            *total += lanes[0].f64();
        }
    }
    totals
}

/// The elements of slices at one index.
#[inline(always)]
fn elements<T: Real, const M: usize>(slices: [&[T]; M], index: usize) -> [T; M] {
    let mut elements = [T::zero(); M];
    for (element, slice) in elements.iter_mut().zip(slices) {
        *element = slice[index];
    }
    elements
}

/// [`sum`] where code is [`vectorised`] already.
#[inline(always)]
pub(crate) fn lane_sum<T: Real>(xs: &[T]) -> f64 {
    let [sum] = lane_sums(
        [xs],
        #[inline(always)]
        |[x]| [x],
    );
    sum
}

/// [`centred_sum_of_squares`] where code is [`vectorised`] already.
#[inline(always)]
pub(crate) fn lane_centred_squares<T: Real>(xs: &[T], mean: T) -> f64 {
    let [sum] = lane_sums(
        [xs],
        #[inline(always)]
        |[x]| [(x - mean) * (x - mean)],
    );
    sum
}

/// The largest element, minus infinity if there is none; to be called where code is [`vectorised`]
/// already.
#[inline(always)]
pub(crate) fn largest<T: Real>(xs: &[T]) -> T {
    let mut largest = T::of(f64::NEG_INFINITY);
    let mut lanes = [largest; ONE_SUM];
    let (whole, last) = xs.as_chunks::<ONE_SUM>();
    for xs in whole {
        for lane in 0..ONE_SUM {
            lanes[lane] = lanes[lane].larger(xs[lane]);
        }
    }
    for &x in lanes.iter().chain(last) {
        largest = largest.larger(x);
    }
    largest
}

/// `Σ x`
pub(crate) fn sum<T: Real>(xs: &[T]) -> f64 {
    vectorised!(lane_sum(xs))
}

/// `Σ x²`
pub(crate) fn sum_of_squares<T: Real>(xs: &[T]) -> f64 {
    vectorised!(lane_centred_squares(xs, T::zero()))
}

/// `Σ (x - mean)²`
pub(crate) fn centred_sum_of_squares<T: Real>(xs: &[T], mean: T) -> f64 {
    vectorised!(lane_centred_squares(xs, mean))
}

/// `Σ x` and `Σ x·(y - mean)` of two slices of one length.
pub(crate) fn sum_and_centred_dot<T: Real>(xs: &[T], ys: &[T], mean: T) -> (f64, f64) {
    let [sum, dot] = vectorised!(lane_sums(
        [xs, ys],
        #[inline(always)]
        |[x, y]| [x, x * (y - mean)]
    ));
    (sum, dot)
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
    fn the_largest_of_any_number_of_elements_is_found() {
        for count in [1, 15, 63, 64, 65, 130] {
            for place in 0..count {
                let mut xs = vec![-2f32; count];
                xs[place] = -1.;
                assert_eq!(vectorised!(largest(&xs)), -1., "{place} of {count}");
            }
        }
        assert_eq!(largest::<f32>(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn sums_of_any_length_are_exact_on_integers() {
        for count in [0, 1, 15, 63, 64, 65, 4095, 4096, 4097, 9000] {
            let xs: Vec<f32> = (0..count).map(|i| (i % 7) as f32).collect();
            let exact: f64 = xs.iter().map(|&x| f64::from(x)).sum();
            let squares: f64 = xs.iter().map(|&x| f64::from(x * x)).sum();
            let centred: f64 = xs.iter().map(|&x| f64::from((x - 3.) * (x - 3.))).sum();
            assert_eq!(sum(&xs), exact);
            assert_eq!(centred_sum_of_squares(&xs, 3.), centred);
            assert_eq!(sum_and_centred_dot(&xs, &xs, 0.), (exact, squares));
        }
    }
}
