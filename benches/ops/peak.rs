//! What the processor can do at most: multiply-adds that never leave its registers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pulp::{Arch, Simd, WithSimd};

/// Sums that do not wait for each other. Two units of four cycles each need 8; AVX2 has 16
/// registers for the sums and two constants.
const SUMS: usize = 12;
const ITERATIONS: usize = 1 << 18;
const ROUNDS: usize = 200;
const AT_MOST: Duration = Duration::from_millis(500);

/// Of f32 on all threads of the pool, multiplication and addition counted as two. The best of many
/// short rounds: what else runs on the machine makes a round slower, never faster.
pub(crate) fn flops_per_second() -> f64 {
    let began = Instant::now();
    let mut best = 0f64;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let done: usize = rayon::broadcast(|_| Arch::new().dispatch(MultiplyAdds))
            .into_iter()
            .sum();
        best = best.max(done as f64 / start.elapsed().as_secs_f64());
        if began.elapsed() > AT_MOST {
            break;
        }
    }
    best
}

/// Gives the number of operations.
struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let factor = simd.splat_f32s(black_box(0.5));
        let term = simd.splat_f32s(black_box(1.));
        let mut sums = [simd.splat_f32s(black_box(0.)); SUMS];
        for _ in 0..ITERATIONS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        for sum in sums {
            black_box(simd.reduce_sum_f32s(sum));
        }
        let lanes = size_of::<S::f32s>() / size_of::<f32>();
        2 * lanes * SUMS * ITERATIONS
    }
}
