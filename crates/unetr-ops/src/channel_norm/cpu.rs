//! The forward pass keeps its inputs and the statistics; the backward pass first undoes the
//! activation (whose sign the output shows), then sums the gradient of every plane twice, plainly
//! and along the normalised input, and all three gradients follow from these.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{Epilogue, Statistics};
use crate::Keep;
use crate::activation::{Activation, rectify, rectify_grad};
use crate::cpu::{
    Real, centred_sum_of_squares, for_real, sum, sum_and_centred_dot, unwritten, vectorised,
    with_elements,
};
use crate::many::{self, Backward, Operation};

pub(super) fn normalise(
    name: &'static str,
    xs: &Tensor,
    affine: &Tensor,
    statistics: Statistics,
    moments: &Tensor,
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let op = Normalise {
        planes: Planes::new(xs, statistics)?,
        eps,
        activation: epilogue.activation,
    };
    let arguments = [xs, affine, moments].into_iter().chain(epilogue.residual);
    many::apply(name, &arguments.collect::<Vec<_>>(), xs.shape(), op)
}

/// `[2, n]`: the mean and the biased variance of every set of pixels that share them.
pub(super) fn moments(xs: &Tensor, statistics: Statistics) -> Result<Tensor> {
    let planes = Planes::new(xs, statistics)?;
    let xs = xs.detach().contiguous()?;
    for_real!(xs, T => {
        let moments = with_elements(&xs, |xs: &[T]| planes.moments(xs))?;
        Tensor::from_vec(moments, (2, planes.sets()), xs.device())
    })
}

/// Sizes of a feature map whose planes share statistics.
#[derive(Debug, Clone, Copy)]
struct Planes {
    batch: usize,
    channels: usize,
    pixels: usize,
    statistics: Statistics,
}

impl Planes {
    fn new(xs: &Tensor, statistics: Statistics) -> Result<Self> {
        let (batch, channels) = (xs.dim(0)?, xs.dim(1)?);
        Ok(Self {
            batch,
            channels,
            pixels: xs.elem_count() / (batch * channels),
            statistics,
        })
    }

    /// How many sets share statistics.
    fn sets(self) -> usize {
        match self.statistics {
            Statistics::Group { groups } => self.batch * groups,
            Statistics::Batch => self.channels,
        }
    }

    /// The set of a plane; planes are counted along channels, then images.
    fn set_of(self, plane: usize) -> usize {
        match self.statistics {
            Statistics::Group { groups } => plane / (self.channels / groups),
            Statistics::Batch => plane % self.channels,
        }
    }

    /// The planes of a set: the first, their distance and their number.
    fn planes_of(self, set: usize) -> impl Iterator<Item = usize> {
        let (first, step, count) = match self.statistics {
            Statistics::Group { groups } => {
                let size = self.channels / groups;
                (set * size, 1, size)
            }
            Statistics::Batch => (set, self.channels, self.batch),
        };
        (0..count).map(move |i| first + i * step)
    }

    /// Pixels of a set.
    fn count(self) -> f64 {
        (self.batch * self.channels * self.pixels) as f64 / self.sets() as f64
    }

    fn plane<T>(self, xs: &[T], plane: usize) -> &[T] {
        &xs[plane * self.pixels..][..self.pixels]
    }

    /// The means of the sets, then their variances.
    fn moments<T: Real>(self, xs: &[T]) -> Vec<T> {
        let (means, variances): (Vec<T>, Vec<T>) = (0..self.sets())
            .into_par_iter()
            .map(|set| {
                let planes = || self.planes_of(set).map(|p| self.plane(xs, p));
                let mean = T::of(planes().map(sum).sum::<f64>() / self.count());
                let squares = planes().map(|plane| centred_sum_of_squares(plane, mean));
                (mean, T::of(squares.sum::<f64>() / self.count()))
            })
            .unzip();
        [means, variances].concat()
    }
}

/// Of the input, the affine map, the moments, which are constants to Candle, and the residual if there
/// is one.
struct Normalise {
    planes: Planes,
    eps: f64,
    activation: Activation,
}

impl Normalise {
    /// Mean and inverse standard deviation of the set of a plane.
    fn mean_and_inverse<T: Real>(&self, moments: &[T], plane: usize) -> (T, T) {
        let set = self.planes.set_of(plane);
        let (means, variances) = moments.split_at(self.planes.sets());
        let variance = variances[set].f64();
        (means[set], T::of(1. / (variance + self.eps).sqrt()))
    }

    /// The gradient before the activation, and for each plane its sum along the normalised input and
    /// its plain sum.
    fn undo_activation<T: Real>(
        &self,
        pass: &Backward<'_, T, ()>,
        moments: &[T],
    ) -> (Vec<T>, Vec<(T, T)>) {
        let planes = self.planes;
        let (slope, at_zero) = self.activation.negative_slope();
        let (slope, at_zero) = (T::of(slope), T::of(at_zero));
        // SAFETY: every plane is written.
        let mut result = unsafe { unwritten(pass.grads.len()) };
        let each = result.par_chunks_mut(planes.pixels).enumerate();
        let sums = each.map(|(plane, result)| {
            let (ys, grads) = (
                planes.plane(pass.result, plane),
                planes.plane(pass.grads, plane),
            );
            // The output has the sign of what was activated, because the slope is positive.
            vectorised!({
                for (result, (&y, &grad)) in result.iter_mut().zip(ys.iter().zip(grads)) {
                    *result = rectify_grad(y, grad, slope, at_zero);
                }
            });
            let (mean, inverse) = self.mean_and_inverse(moments, plane);
            let xs = planes.plane(pass.arguments[0], plane);
            let (plain, along) = sum_and_centred_dot(result, xs, mean);
            (T::of(along * inverse.f64()), T::of(plain))
        });
        let sums = sums.collect();
        (result, sums)
    }

    /// The sums over the images: the gradients of the weights, then those of the biases.
    fn affine_gradient<T: Real>(&self, sums: &[(T, T)]) -> Vec<T> {
        let channels = self.planes.channels;
        let mut result = vec![T::zero(); 2 * channels];
        let (weights, biases) = result.split_at_mut(channels);
        for image in sums.chunks_exact(channels) {
            for ((weight, bias), &(along, plain)) in weights.iter_mut().zip(&mut *biases).zip(image)
            {
                *weight += along;
                *bias += plain;
            }
        }
        result
    }

    /// The gradient of the input, in place of that of the normalised planes.
    fn input_gradient<T: Real>(
        &self,
        xs: &[T],
        affine: &[T],
        moments: &[T],
        grads: &mut [T],
        sums: &[(T, T)],
    ) {
        let planes = self.planes;
        let weights = &affine[..planes.channels];
        // Means over each set of the gradient of the normalised input, along it and plainly.
        let means: Vec<(T, T)> = (0..planes.sets())
            .map(|set| {
                let (mut along, mut plain) = (0., 0.);
                for plane in planes.planes_of(set) {
                    let weight = weights[plane % planes.channels];
                    along += (sums[plane].0 * weight).f64();
                    plain += (sums[plane].1 * weight).f64();
                }
                let count = planes.count();
                (T::of(along / count), T::of(plain / count))
            })
            .collect();
        let each = grads.par_chunks_mut(planes.pixels).enumerate();
        each.for_each(|(plane, grads)| {
            let (mean, inverse) = self.mean_and_inverse(moments, plane);
            let weight = weights[plane % planes.channels];
            let (mean_along, mean_plain) = means[planes.set_of(plane)];
            let xs = planes.plane(xs, plane);
            vectorised!({
                for (grad, &x) in grads.iter_mut().zip(xs) {
                    let normed = (x - mean) * inverse;
                    *grad = (*grad * weight - mean_plain - normed * mean_along) * inverse;
                }
            });
        });
    }
}

impl Operation for Normalise {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        let planes = self.planes;
        let (xs, moments, residual) = (arguments[0], arguments[2], arguments.get(3));
        let (weights, biases) = arguments[1].split_at(planes.channels);
        let slope = T::of(self.activation.negative_slope().0);
        // SAFETY: every plane is written.
        let mut ys = unsafe { unwritten(xs.len()) };
        let each = ys.par_chunks_mut(planes.pixels).enumerate();
        each.for_each(|(plane, ys)| {
            let channel = plane % planes.channels;
            let (mean, inverse) = self.mean_and_inverse(moments, plane);
            let (scale, bias) = (inverse * weights[channel], biases[channel]);
            let pixels = ys.iter_mut().zip(planes.plane(xs, plane));
            match residual {
                Some(residual) => {
                    let pixels = pixels.zip(planes.plane(residual, plane));
                    vectorised!({
                        for ((y, &x), &residual) in pixels {
                            *y = rectify((x - mean) * scale + bias + residual, slope);
                        }
                    });
                }
                None => vectorised!({
                    for (y, &x) in pixels {
                        *y = rectify((x - mean) * scale + bias, slope);
                    }
                }),
            }
        });
        (ys, ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        let (xs, affine, moments) = (pass.arguments[0], pass.arguments[1], pass.arguments[2]);
        let (mut grads, sums) = self.undo_activation(&pass, moments);
        let wanted = pass.wanted;
        let of_residual = wanted.get(3).map(|wanted| wanted.then(|| grads.clone()));
        let of_input = wanted[0].then(|| {
            self.input_gradient(xs, affine, moments, &mut grads, &sums);
            grads
        });
        let of_affine = wanted[1].then(|| self.affine_gradient(&sums));
        [of_input, of_affine, None]
            .into_iter()
            .chain(of_residual)
            .collect()
    }
}
