use candle_core::WithDType;

use super::Lanes;
use super::buffer::Pool;

/// The element types of the CPU kernels: f32, and f64 so that finite differences mean something.
pub(crate) trait Real: WithDType + Default + Lanes {
    /// The value nearest to `x`.
    fn of(x: f64) -> Self;
    fn f64(self) -> f64;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn erf(self) -> Self;
    fn sqrt(self) -> Self;
    fn larger(self, other: Self) -> Self;
    /// Where [`Buffer`](super::Buffer)s of this type come from.
    fn pool() -> &'static Pool<Self>;

    /// `1 - 2 / (exp(2x) + 1)`: saturates correctly at both ends.
    #[inline(always)]
    fn tanh(self) -> Self {
        let two = Self::of(2.);
        Self::one() - two / ((two * self).exp() + Self::one())
    }
}

impl Real for f64 {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<f64> = Pool::new();
        &POOL
    }

    fn of(x: f64) -> Self {
        x
    }

    fn f64(self) -> f64 {
        self
    }

    fn exp(self) -> Self {
        f64::exp(self)
    }

    fn ln(self) -> Self {
        f64::ln(self)
    }

    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f64(self)
    }

    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    fn larger(self, other: Self) -> Self {
        f64::max(self, other)
    }
}

impl Real for f32 {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<f32> = Pool::new();
        &POOL
    }

    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        exp_f32(self)
    }

    fn ln(self) -> Self {
        f32::ln(self)
    }

    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f32(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

/// `eˣ` without branches or calls, so that loops over it vectorise; relative error below 2e-7.
///
/// `x = n·ln 2 + r`, `|r| ≤ ln 2 / 2`; `eʳ` by its Taylor polynomial of degree 7, `2ⁿ` by the
/// exponent bits. Infinite above 88.72, zero below -87.33, NaN for NaN.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    // Adding and subtracting 1.5·2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-88., 89.);
    let n = (clamped * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut e = 1. / 5040.;
    for coefficient in [1. / 720., 1. / 120., 1. / 24., 1. / 6., 0.5, 1., 1.] {
        e = e * r + coefficient;
    }
    // n is between -127 and 128; two halves keep both factors normal numbers.
    let half = (n as i32) >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    let result = e * power(half) * power(n as i32 - half);
    if x > 88.722_84 {
        f32::INFINITY
    } else if x < -87.336_55 {
        0.
    } else if x.is_nan() {
        x
    } else {
        result
    }
}

#[cfg(test)]
mod tests {
    use super::exp_f32;

    #[test]
    fn exp_is_accurate_over_its_whole_range() {
        let worst = (-87_000..88_700)
            .map(|i| {
                let x = i as f32 * 1e-3;
                let exact = f64::from(x).exp();
                ((f64::from(exp_f32(x)) - exact) / exact).abs()
            })
            .fold(0., f64::max);
        assert!(worst < 2e-7, "{worst:e}");
    }

    #[test]
    fn exp_of_special_numbers() {
        assert_eq!(exp_f32(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp_f32(100.), f32::INFINITY);
        assert_eq!(exp_f32(f32::NEG_INFINITY), 0.);
        assert_eq!(exp_f32(-100.), 0.);
        assert_eq!(exp_f32(0.), 1.);
        assert!(exp_f32(f32::NAN).is_nan());
    }
}
