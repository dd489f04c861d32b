use rayon::prelude::*;

use super::{Activation, Gelu};
use crate::Keep;
use crate::cpu::{Real, min_chunks, vectorised};
use crate::many::{Backward, Operation};

const CHUNK: usize = 4 * 1024;

/// An elementwise function with its derivative.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pointwise {
    Gelu(Gelu),
    /// The factor for negative numbers and the derivative at 0.
    Rectifier {
        slope: f64,
        at_zero: f64,
    },
}

impl From<Gelu> for Pointwise {
    fn from(formula: Gelu) -> Self {
        Self::Gelu(formula)
    }
}

impl From<Activation> for Pointwise {
    fn from(activation: Activation) -> Self {
        let (slope, at_zero) = activation.negative_slope();
        Self::Rectifier { slope, at_zero }
    }
}

impl Pointwise {
    pub(crate) fn forward<T: Real>(self, xs: &[T], ys: &mut [T]) {
        match self {
            Self::Gelu(Gelu::Tanh) => map(
                xs,
                ys,
                #[inline(always)]
                |x| T::of(0.5) * x * (T::one() + tanh_argument(x).tanh()),
            ),
            Self::Gelu(Gelu::Erf) => map(
                xs,
                ys,
                #[inline(always)]
                |x| x * normal(x).0,
            ),
            Self::Rectifier { slope, .. } => {
                let slope = T::of(slope);
                map(
                    xs,
                    ys,
                    #[inline(always)]
                    |x| if x >= T::zero() { x } else { slope * x },
                );
            }
        }
    }

    /// The gradient of the input.
    pub(crate) fn gradient<T: Real>(self, xs: &[T], grads: &[T]) -> Vec<T> {
        let mut of_xs = vec![T::zero(); xs.len()];
        of_xs
            .par_chunks_mut(CHUNK)
            .zip(xs.par_chunks(CHUNK).zip(grads.par_chunks(CHUNK)))
            .with_min_len(min_chunks(CHUNK))
            .for_each(|(of_xs, (xs, grads))| {
                of_xs.copy_from_slice(grads);
                self.backward(xs, of_xs);
            });
        of_xs
    }

    /// The gradient of the input, in place of that of the result.
    pub(crate) fn backward<T: Real>(self, xs: &[T], grads: &mut [T]) {
        match self {
            Self::Gelu(Gelu::Tanh) => zip_map(
                xs,
                grads,
                #[inline(always)]
                |x, grad| {
                    let half = T::of(0.5);
                    let t = tanh_argument(x).tanh();
                    let inner = T::of(SQRT_2_PI) * (T::one() + T::of(3. * CUBIC) * x * x);
                    grad * half * ((T::one() + t) + x * (T::one() - t * t) * inner)
                },
            ),
            Self::Gelu(Gelu::Erf) => zip_map(
                xs,
                grads,
                #[inline(always)]
                |x, grad| {
                    let (cdf, exp) = normal(x);
                    grad * (cdf + x * exp * T::of(INV_SQRT_2PI))
                },
            ),
            Self::Rectifier { slope, at_zero } => {
                let (slope, at_zero) = (T::of(slope), T::of(at_zero));
                zip_map(
                    xs,
                    grads,
                    #[inline(always)]
                    |x, grad| {
                        if x > T::zero() {
                            grad
                        } else if x == T::zero() {
                            grad * at_zero
                        } else {
                            grad * slope
                        }
                    },
                );
            }
        }
    }
}

/// `√(2/π)`
const SQRT_2_PI: f64 = 0.797_884_560_802_865_4;
/// `1 / √(2π)`
const INV_SQRT_2PI: f64 = 0.398_942_280_401_432_7;
const CUBIC: f64 = 0.044_715;

#[inline(always)]
fn tanh_argument<T: Real>(x: T) -> T {
    T::of(SQRT_2_PI) * (x + T::of(CUBIC) * x * x * x)
}

/// `Φ(x)` and `e^{-x²/2}`.
#[inline(always)]
fn normal<T: Real>(x: T) -> (T, T) {
    let exp = (T::of(-0.5) * x * x).exp();
    let erf = (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf_with(exp);
    (T::of(0.5) * (T::one() + erf), exp)
}

fn map<T: Real>(xs: &[T], ys: &mut [T], f: impl Fn(T) -> T + Sync) {
    ys.par_chunks_mut(CHUNK)
        .zip(xs.par_chunks(CHUNK))
        .with_min_len(min_chunks(CHUNK))
        .for_each(|(ys, xs)| {
            vectorised!({
                for (y, &x) in ys.iter_mut().zip(xs) {
                    *y = f(x);
                }
            });
        });
}

fn zip_map<T: Real>(xs: &[T], grads: &mut [T], f: impl Fn(T, T) -> T + Sync) {
    let chunks = grads
        .par_chunks_mut(CHUNK)
        .zip(xs.par_chunks(CHUNK))
        .with_min_len(min_chunks(CHUNK));
    chunks.for_each(|(grads, xs)| {
        vectorised!({
            for (grad, &x) in grads.iter_mut().zip(xs) {
                *grad = f(x, *grad);
            }
        });
    });
}

impl Operation for Pointwise {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        let mut ys = vec![T::zero(); arguments[0].len()];
        Pointwise::forward(*self, arguments[0], &mut ys);
        (ys, ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        vec![Some(self.gradient(pass.arguments[0], pass.grads))]
    }
}
