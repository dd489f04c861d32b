//! What happens to one channel of one image between two convolutions.

use crate::activation::{rectify, rectify_grad};
use crate::conv2d::Frame;
use crate::cpu::{Real, centred_sum_of_squares, sum, sum_and_centred_dot, vectorised};

/// The normalisation of one channel of one image: `(x - mean) · inverse · weight + bias`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm<T> {
    mean: T,
    /// One over the standard deviation.
    inverse: T,
    weight: T,
    bias: T,
}

impl<T: Real> Norm<T> {
    pub(super) fn of(plane: &[T], eps: f64, weight: T, bias: T) -> Self {
        let count = plane.len() as f64;
        let mean = T::of(sum(plane) / count);
        let variance = centred_sum_of_squares(plane, mean) / count;
        Self {
            mean,
            inverse: T::of(1. / (variance + eps).sqrt()),
            weight,
            bias,
        }
    }

    /// A function of one element that is cheap inside a loop.
    #[inline(always)]
    fn apply(self) -> impl Fn(T) -> T + Copy {
        let scale = self.inverse * self.weight;
        #[inline(always)]
        move |x| (x - self.mean) * scale + self.bias
    }

    /// Normalises and rectifies a plane into a framed one.
    pub(super) fn activate(self, plane: &[T], slope: T, frame: Frame, framed: &mut [T]) {
        let norm = self.apply();
        vectorised!({
            for (to, from) in frame.rows(framed).zip(plane.chunks_exact(frame.width)) {
                for (y, &x) in to.iter_mut().zip(from) {
                    *y = rectify(norm(x), slope);
                }
            }
        });
    }

    /// `leaky(norm(x) + residual)`, where `ys` holds the residual.
    pub(super) fn finish(self, plane: &[T], slope: T, ys: &mut [T]) {
        let norm = self.apply();
        vectorised!({
            for (y, &x) in ys.iter_mut().zip(plane) {
                *y = rectify(norm(x) + *y, slope);
            }
        });
    }

    /// The normalised plane, not rectified.
    pub(super) fn normalise(self, plane: &[T], ys: &mut [T]) {
        let norm = self.apply();
        vectorised!({
            for (y, &x) in ys.iter_mut().zip(plane) {
                *y = norm(x);
            }
        });
    }

    /// Takes the gradient of the rectified plane to that of the normalised one, in place.
    pub(super) fn undo_activation(self, plane: &[T], slope: T, grads: &mut [T]) {
        let norm = self.apply();
        vectorised!({
            for (grad, &x) in grads.iter_mut().zip(plane) {
                *grad = rectify_grad(norm(x), *grad, slope, T::one());
            }
        });
    }

    /// Takes the gradient of the normalised plane to that of the plane, framed; returns those of
    /// weight and bias.
    pub(super) fn backward(
        self,
        plane: &[T],
        grads: &[T],
        frame: Frame,
        framed: &mut [T],
    ) -> (T, T) {
        let count = plane.len() as f64;
        let (plain, along) = sum_and_centred_dot(grads, plane, self.mean);
        let along = along * self.inverse.f64();
        let scale = self.inverse * self.weight;
        let of_mean = T::of(plain / count) * scale;
        let of_scale = T::of(along / count) * scale * self.inverse;
        let mean = self.mean;
        vectorised!({
            let rows = plane
                .chunks_exact(frame.width)
                .zip(grads.chunks_exact(frame.width));
            for (to, (xs, grads)) in frame.rows(framed).zip(rows) {
                for ((result, &x), &grad) in to.iter_mut().zip(xs).zip(grads) {
                    *result = grad * scale - of_mean - (x - mean) * of_scale;
                }
            }
        });
        (T::of(along), T::of(plain))
    }
}

/// The gradient before the last activation, whose output shows the sign of its input.
pub(super) fn undo_last_activation<T: Real>(ys: &[T], grads: &[T], slope: T, result: &mut [T]) {
    vectorised!({
        for ((result, &y), &grad) in result.iter_mut().zip(ys).zip(grads) {
            *result = rectify_grad(y, grad, slope, T::one());
        }
    });
}
