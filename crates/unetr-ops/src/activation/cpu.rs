use rayon::prelude::*;

use super::{Activation, Gelu};
use crate::Keep;
use crate::cpu::{Real, min_chunks, unwritten, vectorised};
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

/// Runs an expression with `f` standing for a function from `x` to its value and its derivative there,
/// of which the compiler drops what the expression does not use.
macro_rules! with_function {
    ($pointwise:expr, $T:ident, $f:ident => $body:expr) => {
        match $pointwise {
            Self::Gelu(Gelu::Tanh) => {
                let $f = gelu_tanh::<$T>;
                $body
            }
            Self::Gelu(Gelu::Erf) => {
                let $f = gelu_erf::<$T>;
                $body
            }
            Self::Rectifier { slope, at_zero } => {
                let $f = rectifier($T::of(slope), $T::of(at_zero));
                $body
            }
        }
    };
}

impl Pointwise {
    pub(crate) fn forward<T: Real>(self, xs: &[T], ys: &mut [T]) {
        let chunks = ys.par_chunks_mut(CHUNK).zip(xs.par_chunks(CHUNK));
        let chunks = chunks.with_min_len(min_chunks(CHUNK));
        with_function!(self, T, f => chunks.for_each(|(ys, xs)| {
            vectorised!({
                for (y, &x) in ys.iter_mut().zip(xs) {
                    *y = f(x).0;
                }
            });
        }));
    }

    /// The gradient of the input.
    fn gradient<T: Real>(self, xs: &[T], grads: &[T]) -> Vec<T> {
        // SAFETY: the loop below writes every element.
        let mut of_xs = unsafe { unwritten(xs.len()) };
        let chunks = of_xs
            .par_chunks_mut(CHUNK)
            .zip(xs.par_chunks(CHUNK).zip(grads.par_chunks(CHUNK)))
            .with_min_len(min_chunks(CHUNK));
        with_function!(self, T, f => chunks.for_each(|(of_xs, (xs, grads))| {
            vectorised!({
                for (of_x, (&x, &grad)) in of_xs.iter_mut().zip(xs.iter().zip(grads)) {
                    *of_x = f(x).1 * grad;
                }
            });
        }));
        of_xs
    }

    /// The result again, and the gradient of the input in place of its own.
    pub(crate) fn forward_and_backward<T: Real>(self, xs: &[T], ys: &mut [T], grads: &mut [T]) {
        let chunks = ys
            .par_chunks_mut(CHUNK)
            .zip(grads.par_chunks_mut(CHUNK).zip(xs.par_chunks(CHUNK)))
            .with_min_len(min_chunks(CHUNK));
        with_function!(self, T, f => chunks.for_each(|(ys, (grads, xs))| {
            vectorised!({
                for (y, (grad, &x)) in ys.iter_mut().zip(grads.iter_mut().zip(xs)) {
                    let (value, derivative) = f(x);
                    *y = value;
                    *grad *= derivative;
                }
            });
        }));
    }
}

/// `√(2/π)`
const SQRT_2_PI: f64 = 0.797_884_560_802_865_4;
/// `1 / √(2π)`
const INV_SQRT_2PI: f64 = 0.398_942_280_401_432_7;
const CUBIC: f64 = 0.044_715;

#[inline(always)]
fn gelu_tanh<T: Real>(x: T) -> (T, T) {
    let (half, root) = (T::of(0.5), T::of(SQRT_2_PI));
    let square = x * x;
    let t = (root * (x + T::of(CUBIC) * square * x)).tanh();
    let inner = root * (T::one() + T::of(3. * CUBIC) * square);
    let cdf = half * (T::one() + t);
    (x * cdf, cdf + half * x * (T::one() - t * t) * inner)
}

#[inline(always)]
fn gelu_erf<T: Real>(x: T) -> (T, T) {
    let exp = (T::of(-0.5) * x * x).exp();
    let erf = (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf_with(exp);
    let cdf = T::of(0.5) * (T::one() + erf);
    (x * cdf, cdf + x * exp * T::of(INV_SQRT_2PI))
}

#[inline(always)]
fn rectifier<T: Real>(slope: T, at_zero: T) -> impl Fn(T) -> (T, T) + Copy + Sync {
    #[inline(always)]
    move |x| (rectify(x, slope), rectify_grad(x, T::one(), slope, at_zero))
}

/// The gradient of the input of a leaky ReLU, where `x` has the sign of that input.
#[inline(always)]
pub(crate) fn rectify_grad<T: Real>(x: T, grad: T, slope: T, at_zero: T) -> T {
    let derivative = if x > T::zero() {
        T::one()
    } else if x == T::zero() {
        at_zero
    } else {
        slope
    };
    derivative * grad
}

/// Leaky ReLU, for the loops of kernels that do more.
#[inline(always)]
pub(crate) fn rectify<T: Real>(x: T, slope: T) -> T {
    // Not `slope * x` alone, as 0 times minus infinity is not a number.
    let negative = if slope == T::zero() { slope } else { slope * x };
    if x < T::zero() { negative } else { x }
}

impl Operation for Pointwise {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        // SAFETY: the function writes every element.
        let mut ys = unsafe { unwritten(arguments[0].len()) };
        Pointwise::forward(*self, arguments[0], &mut ys);
        (ys, ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        vec![Some(self.gradient(pass.arguments[0], pass.grads))]
    }
}
