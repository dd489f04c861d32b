//! The natural logarithm without branches or calls, so that loops over it vectorise.
//!
//! `x = 2ⁿ·m`, `m` between `√½` and `√2`; `ln m = 2·artanh s` by its series in `s = (m - 1) / (m + 1)`.

use std::f32::consts::{FRAC_1_SQRT_2 as SQRT_HALF_F32, LN_2 as LN_2_F32};
use std::f64::consts::{FRAC_1_SQRT_2 as SQRT_HALF_F64, LN_2 as LN_2_F64};

/// `ln x` in f32 of a positive normal number, relative error below 3e-7; infinity and NaN stay what
/// they are.
#[inline(always)]
pub(super) fn ln_f32(x: f32) -> f32 {
    let bits = x.to_bits() as i32;
    let n = bits.wrapping_sub(SQRT_HALF_F32.to_bits() as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(n << 23) as u32);
    let s = (m - 1.) / (m + 1.);
    let square = s * s;
    let mut series = 1. / 9.;
    for coefficient in [1. / 7., 1. / 5., 1. / 3., 1.] {
        series = series * square + coefficient;
    }
    let result = n as f32 * LN_2_F32 + 2. * s * series;
    if x < f32::INFINITY { result } else { x }
}

/// `ln x` in f64 of a positive normal number, relative error below 5e-16; infinity and NaN stay what
/// they are.
#[inline(always)]
pub(super) fn ln_f64(x: f64) -> f64 {
    let bits = x.to_bits() as i64;
    let n = bits.wrapping_sub(SQRT_HALF_F64.to_bits() as i64) >> 52;
    let m = f64::from_bits(bits.wrapping_sub(n << 52) as u64);
    let s = (m - 1.) / (m + 1.);
    let square = s * s;
    let mut series = 1. / 21.;
    for coefficient in [
        1. / 19.,
        1. / 17.,
        1. / 15.,
        1. / 13.,
        1. / 11.,
        1. / 9.,
        1. / 7.,
        1. / 5.,
        1. / 3.,
        1.,
    ] {
        series = series * square + coefficient;
    }
    let result = n as f64 * LN_2_F64 + 2. * s * series;
    if x < f64::INFINITY { result } else { x }
}

#[cfg(test)]
mod tests {
    use super::{ln_f32, ln_f64};

    /// Numbers over the whole range, and close to 1, where the logarithm is close to 0.
    fn numbers() -> impl Iterator<Item = f64> {
        let wide = (-87_000..88_000).map(|i| (f64::from(i) * 1e-3).exp());
        wide.chain((-40_000..40_000).map(|i| 1. + f64::from(i) * 1e-5))
    }

    #[test]
    fn ln_is_accurate_over_its_whole_range() {
        let off = |found: f64, exact: f64| match exact {
            0. => found.abs(),
            _ => ((found - exact) / exact).abs(),
        };
        let single = numbers().map(|x| x as f32);
        let worst = single
            .map(|x| off(f64::from(ln_f32(x)), f64::from(x).ln()))
            .fold(0., f64::max);
        assert!(worst < 3e-7, "{worst:e}");
        let worst = numbers().map(|x| off(ln_f64(x), x.ln())).fold(0., f64::max);
        assert!(worst < 5e-16, "{worst:e}");
        assert!((ln_f64(1e-300) - 1e-300f64.ln()).abs() < 1e-12);
        assert!((ln_f64(1e300) - 1e300f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn ln_of_special_numbers() {
        assert_eq!((ln_f32(1.), ln_f64(1.)), (0., 0.));
        assert_eq!(ln_f32(f32::INFINITY), f32::INFINITY);
        assert_eq!(ln_f64(f64::INFINITY), f64::INFINITY);
        assert!(ln_f32(f32::NAN).is_nan() && ln_f64(f64::NAN).is_nan());
        assert!(ln_f32(f32::MIN_POSITIVE) < -87. && ln_f64(f64::MIN_POSITIVE) < -708.);
    }
}
