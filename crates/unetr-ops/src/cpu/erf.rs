//! The error function without branches or calls, so that loops over it vectorise.
//!
//! `erf(x) = x + x·P(x²)` for `|x| < 1`, and `±(1 - e^{-x²}·Q(s))` with `s = (|x| - k)/(|x| + k)` elsewhere,
//! where `Q` approximates the scaled complement `e^{x²}·erfc(x)`, which is smooth (the substitution is
//! that of Shepherd and Laframboise 1981, <https://doi.org/10.1090/S0025-5718-1981-0595058-X>). `P` and
//! `Q` interpolate at Chebyshev nodes, `Q` up to where `erf` rounds to 1.

use super::Real;

/// `erf(x)` in f64, given `e^{-x²}`; off by less than 1e-15.
#[inline(always)]
pub(super) fn erf_f64(x: f64, exp: f64) -> f64 {
    erf(x, exp, &NEAR_F64, (2.5, 6.), &FAR_F64)
}

/// `erf(x)` in f32, given `e^{-x²}`; off by less than 1.2e-7 of it.
#[inline(always)]
pub(super) fn erf_f32(x: f32, exp: f32) -> f32 {
    erf(x, exp, &NEAR_F32, (2., 4.), &FAR_F32)
}

#[inline(always)]
fn erf<T: Real, const N: usize, const M: usize>(
    x: T,
    exp: T,
    near: &[f64; N],
    (k, largest): (f64, f64),
    far: &[f64; M],
) -> T {
    let (k, largest) = (T::of(k), T::of(largest));
    let size = if x < T::zero() { T::zero() - x } else { x };
    let inside = if size < largest { size } else { largest };
    let s = (inside - k) / (inside + k);
    let outer = T::one() - exp * polynomial(far, s);
    let outer = if x < T::zero() {
        T::zero() - outer
    } else {
        outer
    };
    let inner = x + x * polynomial(near, x * x);
    if size < T::one() { inner } else { outer }
}

/// Coefficients from the constant one on.
#[inline(always)]
fn polynomial<T: Real, const N: usize>(coefficients: &[f64; N], x: T) -> T {
    let mut sum = T::of(coefficients[N - 1]);
    for i in (0..N - 1).rev() {
        sum = sum * x + T::of(coefficients[i]);
    }
    sum
}

/// `erf(√u)/√u - 1`, `u` in 0..1
const NEAR_F64: [f64; 12] = [
    0.12837916709551256,
    -0.37612638903183543,
    0.11283791670945006,
    -0.02686617064323777,
    0.0052239776071164225,
    -0.0008548325975389692,
    0.00012055294904839707,
    -1.492473690741966e-05,
    1.6447424703317362e-06,
    -1.6208483801871705e-07,
    1.3720064546777686e-08,
    -7.795898827002142e-10,
];

/// `e^{x²}·erfc(x)`, `x` in 1..6
const FAR_F64: [f64; 15] = [
    0.2108063640611436,
    -0.37173673394897294,
    0.2517131932174488,
    -0.12503305237891782,
    0.03992253907546523,
    -0.003993701160123029,
    -0.0026423659518134547,
    0.0008759152875774328,
    0.0002283799633257643,
    -0.00012887483134837842,
    -3.4175718896856294e-05,
    1.8596747731144528e-05,
    7.499735050763299e-06,
    -2.2328516517555215e-06,
    -1.587633893127344e-06,
];

/// As [`NEAR_F64`].
const NEAR_F32: [f64; 7] = [
    0.12837916584835088,
    -0.37612626666720334,
    0.11283594715160218,
    -0.026854212010626412,
    0.005189087423433974,
    -0.000801686428716587,
    7.875875062685488e-05,
];

/// `e^{x²}·erfc(x)`, `x` in 1..4
const FAR_F32: [f64; 7] = [
    0.25539567631050575,
    -0.4271859897684867,
    0.2416582015255602,
    -0.07896830612793473,
    0.0037323717589395444,
    0.006811140131085635,
    -0.0008379754387023134,
];

#[cfg(test)]
mod tests {
    use super::super::Real;

    fn erf<T: Real>(x: T) -> T {
        x.erf_with((T::zero() - x * x).exp())
    }

    /// The largest error of `erf`, absolute and relative, on a fine grid over its whole range.
    fn worst<T: Real>(of: impl Fn(T) -> T) -> (f64, f64) {
        let mut worst = (0f64, 0f64);
        for i in (-80_000..80_000).chain([-1_000_000, 1_000_000]) {
            let x = T::of(f64::from(i) * 1e-4 + 3e-9);
            let exact = candle_core::cpu::erf::erf_f64(x.f64());
            let off = (of(x).f64() - exact).abs();
            worst = (worst.0.max(off), worst.1.max(off / exact.abs()));
        }
        worst
    }

    #[test]
    fn erf_is_accurate_over_its_whole_range() {
        let (off, relative) = worst::<f64>(erf);
        assert!(off < 1e-15 && relative < 1e-15, "{off:e}, {relative:e}");
        let (off, relative) = worst::<f32>(erf);
        let ulp = f64::from(f32::EPSILON);
        assert!(off < ulp && relative < ulp, "{off:e}, {relative:e}");
    }

    #[test]
    fn erf_of_special_numbers() {
        fn check<T: Real>() {
            for (x, exact) in [
                (0., 0.),
                (f64::INFINITY, 1.),
                (f64::NEG_INFINITY, -1.),
                (30., 1.),
            ] {
                assert_eq!(erf(T::of(x)).f64(), exact, "{x}");
            }
            assert!(erf(T::of(f64::NAN)).f64().is_nan());
        }
        check::<f32>();
        check::<f64>();
    }
}
