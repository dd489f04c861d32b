//! The exponential function without branches or calls, so that loops over it vectorise.
//!
//! `x = n·ln 2 + r`, `|r| ≤ ln 2 / 2`; `eʳ` by its Taylor polynomial, `2ⁿ` by the exponent bits.

/// `eˣ` in f32, relative error below 2e-7. Infinite above 88.72, zero below -87.33, NaN for NaN.
#[inline(always)]
pub(super) fn exp_f32(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to the nearest integer, which then is in the lowest bits: a conversion would
    // have to look for numbers out of range.
    const ROUND: f32 = 12_582_912.;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-88., 89.);
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut e = 1. / 5040.;
    for coefficient in [1. / 720., 1. / 120., 1. / 24., 1. / 6., 0.5, 1., 1.] {
        e = e * r + coefficient;
    }
    // n is between -127 and 128; two halves keep both factors normal numbers.
    let n = rounded.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) << 23) as u32);
    // Above 88.72 this is infinite by itself, and NaN has passed all of it.
    let result = e * power(half) * power(n.wrapping_sub(half));
    if x < -87.336_55 { 0. } else { result }
}

/// `eˣ` in f64, relative error below 5e-16. Infinite above 709.78, zero below -708, NaN for NaN.
#[inline(always)]
pub(super) fn exp_f64(x: f64) -> f64 {
    // Adding 1.5·2⁵² rounds to the nearest integer, which then is in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let clamped = x.clamp(-709., 710.);
    let rounded = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut e = 1. / 6_227_020_800.;
    for coefficient in [
        1. / 479_001_600.,
        1. / 39_916_800.,
        1. / 3_628_800.,
        1. / 362_880.,
        1. / 40_320.,
        1. / 5040.,
        1. / 720.,
        1. / 120.,
        1. / 24.,
        1. / 6.,
        0.5,
        1.,
        1.,
    ] {
        e = e * r + coefficient;
    }
    // n is between -1021 and 1024; 2ⁿ⁻¹ and 2 are normal numbers where the result is one.
    let half = f64::from_bits(rounded.to_bits().wrapping_add(1022) << 52);
    let result = e * half * 2.;
    if x > 709.782_712_893_384 {
        f64::INFINITY
    } else if x < -708. {
        0.
    } else if x.is_nan() {
        x
    } else {
        result
    }
}

#[cfg(test)]
mod tests {
    use super::{exp_f32, exp_f64};

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
        let worst = (-708_000..709_700)
            .map(|i| {
                let x = f64::from(i) * 1e-3;
                ((exp_f64(x) - x.exp()) / x.exp()).abs()
            })
            .fold(0., f64::max);
        assert!(worst < 5e-16, "{worst:e}");
    }

    #[test]
    fn exp_of_special_numbers() {
        assert_eq!(exp_f32(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp_f32(100.), f32::INFINITY);
        assert_eq!(exp_f32(f32::NEG_INFINITY), 0.);
        assert_eq!(exp_f32(-100.), 0.);
        assert_eq!(exp_f32(0.), 1.);
        assert!(exp_f32(f32::NAN).is_nan());
        assert_eq!(exp_f64(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp_f64(709.79), f64::INFINITY);
        assert_eq!(exp_f64(f64::NEG_INFINITY), 0.);
        assert_eq!(exp_f64(-800.), 0.);
        assert_eq!(exp_f64(0.), 1.);
        assert!(exp_f64(f64::NAN).is_nan());
    }
}
