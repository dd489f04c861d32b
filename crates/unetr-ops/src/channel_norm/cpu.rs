//! The forward pass keeps its inputs and the statistics; the backward pass first undoes the
//! activation (whose sign the output shows), then sums the gradient of every plane twice, plainly
//! and along the normalised input, and all three gradients follow from these.

use candle_core::backend::BackendStorage as _;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType as _,
};
use rayon::prelude::*;

use super::{Epilogue, Statistics};
use crate::activation::Activation;
use crate::cpu::{
    Real, centred_dot, centred_sum_of_squares, elements, for_real, sum, with_elements,
};

pub(super) fn normalise(
    xs: &Tensor,
    affine: &Tensor,
    statistics: Statistics,
    moments: &Tensor,
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let xs = xs.contiguous()?;
    let op = Normalise {
        statistics,
        moments: moments.clone(),
        eps,
        activation: epilogue.activation,
    };
    match epilogue.residual {
        Some(residual) => xs.apply_op3(affine, &residual.contiguous()?, op),
        None => xs.apply_op2(affine, op),
    }
}

/// `[2, n]`: the mean and the biased variance of every set of pixels that share them.
pub(super) fn moments(xs: &Tensor, statistics: Statistics) -> Result<Tensor> {
    xs.detach()
        .contiguous()?
        .apply_op1_no_bwd(&Moments(statistics))
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
    fn new(layout: &Layout, statistics: Statistics) -> Self {
        let (batch, channels) = (layout.dims()[0], layout.dims()[1]);
        let pixels = layout.shape().elem_count() / (batch * channels);
        Self {
            batch,
            channels,
            pixels,
            statistics,
        }
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
}

struct Moments(Statistics);

fn moments_of<T: Real>(xs: &[T], planes: Planes) -> Vec<T> {
    let (means, variances): (Vec<T>, Vec<T>) = (0..planes.sets())
        .into_par_iter()
        .map(|set| {
            let total: f64 = planes
                .planes_of(set)
                .map(|p| sum(planes.plane(xs, p)))
                .sum();
            let mean = T::of(total / planes.count());
            let squares: f64 = planes
                .planes_of(set)
                .map(|p| centred_sum_of_squares(planes.plane(xs, p), mean))
                .sum();
            (mean, T::of(squares / planes.count()))
        })
        .unzip();
    [means, variances].concat()
}

impl CustomOp1 for Moments {
    fn name(&self) -> &'static str {
        "norm-moments"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::new(layout, self.0);
        for_real!(xs, T => {
            let moments = moments_of::<T>(elements(xs, layout)?, planes);
            Ok((T::to_cpu_storage_owned(moments), Shape::from((2, planes.sets()))))
        })
    }
}

#[derive(Clone)]
struct Normalise {
    statistics: Statistics,
    moments: Tensor,
    eps: f64,
    activation: Activation,
}

impl Normalise {
    /// Mean and inverse standard deviation of a set.
    fn mean_and_inverse<T: Real>(&self, moments: &[T], set: usize) -> (T, T) {
        let (means, variances) = moments.split_at(moments.len() / 2);
        (
            means[set],
            T::of(1. / (variances[set].f64() + self.eps).sqrt()),
        )
    }

    fn forward<T: Real>(
        &self,
        planes: Planes,
        xs: &[T],
        affine: &[T],
        residual: Option<&[T]>,
        moments: &[T],
    ) -> Vec<T> {
        let (weights, biases) = affine.split_at(planes.channels);
        let slope = T::of(self.activation.negative_slope().0);
        let rectify = |y: T| if y >= T::zero() { y } else { slope * y };
        let mut ys = vec![T::zero(); xs.len()];
        ys.par_chunks_mut(planes.pixels)
            .enumerate()
            .for_each(|(plane, ys)| {
                let channel = plane % planes.channels;
                let (mean, inverse) = self.mean_and_inverse(moments, planes.set_of(plane));
                let (scale, bias) = (inverse * weights[channel], biases[channel]);
                let xs = planes.plane(xs, plane);
                match residual {
                    Some(residual) => {
                        let residual = planes.plane(residual, plane);
                        for ((y, &x), &residual) in ys.iter_mut().zip(xs).zip(residual) {
                            *y = rectify((x - mean) * scale + bias + residual);
                        }
                    }
                    None => {
                        for (y, &x) in ys.iter_mut().zip(xs) {
                            *y = rectify((x - mean) * scale + bias);
                        }
                    }
                }
            });
        ys
    }

    /// The gradient before the activation.
    fn before_activation(&self, ys: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.contiguous()?;
        match self.activation {
            Activation::Identity => Ok(grad),
            activation => ys
                .detach()
                .apply_op2_no_bwd(&grad, &ActivationBackward(activation)),
        }
    }

    /// The gradients of the input and of the affine map, from the one before the activation.
    fn backward(
        &self,
        xs: &Tensor,
        affine: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (batch, channels) = (xs.dim(0)?, xs.dim(1)?);
        let xs_value = xs.detach();
        let sums = xs_value.apply_op2_no_bwd(grad, &PlaneSums(self.clone()))?;
        let of_xs = match xs.track_op() {
            true => {
                let op = InputGradient {
                    forward: self.clone(),
                    sums: sums.clone(),
                };
                Some(xs_value.apply_op3_no_bwd(&affine.detach(), grad, &op)?)
            }
            false => None,
        };
        let of_affine = match affine.track_op() {
            true => Some(sums.reshape((2, batch, channels))?.sum(1)?),
            false => None,
        };
        Ok((of_xs, of_affine))
    }
}

impl CustomOp2 for Normalise {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::new(layout, self.statistics);
        for_real!(xs, T => {
            let (xs, affine) = (elements::<T>(xs, layout)?, elements(affine, affine_layout)?);
            let ys = with_elements(&self.moments, |moments: &[T]| {
                self.forward(planes, xs, affine, None, moments)
            })?;
            Ok((T::to_cpu_storage_owned(ys), layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        xs: &Tensor,
        affine: &Tensor,
        ys: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.backward(xs, affine, &self.before_activation(ys, grad)?)
    }
}

impl CustomOp3 for Normalise {
    fn name(&self) -> &'static str {
        "norm-residual"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::new(layout, self.statistics);
        for_real!(xs, T => {
            let (xs, affine) = (elements::<T>(xs, layout)?, elements(affine, affine_layout)?);
            let residual = elements(residual, residual_layout)?;
            let ys = with_elements(&self.moments, |moments: &[T]| {
                self.forward(planes, xs, affine, Some(residual), moments)
            })?;
            Ok((T::to_cpu_storage_owned(ys), layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        xs: &Tensor,
        affine: &Tensor,
        residual: &Tensor,
        ys: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = self.before_activation(ys, grad)?;
        let (of_xs, of_affine) = self.backward(xs, affine, &grad)?;
        Ok((of_xs, of_affine, residual.track_op().then_some(grad)))
    }
}

/// Multiplies a gradient by the activation's derivative; the output has the sign of the input
/// because the slope is positive.
struct ActivationBackward(Activation);

impl CustomOp2 for ActivationBackward {
    fn name(&self) -> &'static str {
        "norm-activation-backward"
    }

    fn cpu_fwd(
        &self,
        ys: &CpuStorage,
        layout: &Layout,
        grads: &CpuStorage,
        grads_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_real!(ys, T => {
            let ys: &[T] = elements(ys, layout)?;
            let result = self.0.rectifier_gradient(ys, elements(grads, grads_layout)?);
            Ok((T::to_cpu_storage_owned(result), layout.shape().clone()))
        })
    }
}

/// `[2, batch·channels]`: the sums over each plane of the gradient times the normalised input, and
/// of the gradient.
struct PlaneSums(Normalise);

impl CustomOp2 for PlaneSums {
    fn name(&self) -> &'static str {
        "norm-plane-sums"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        grads: &CpuStorage,
        grads_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::new(layout, self.0.statistics);
        let count = planes.batch * planes.channels;
        for_real!(xs, T => {
            let (xs, grads) = (elements::<T>(xs, layout)?, elements::<T>(grads, grads_layout)?);
            let sums = with_elements(&self.0.moments, |moments: &[T]| {
                let (along, plain): (Vec<T>, Vec<T>) = (0..count)
                    .into_par_iter()
                    .map(|plane| {
                        let (mean, inverse) =
                            self.0.mean_and_inverse(moments, planes.set_of(plane));
                        let grads = planes.plane(grads, plane);
                        let along = centred_dot(grads, planes.plane(xs, plane), mean);
                        (T::of(along * inverse.f64()), T::of(sum(grads)))
                    })
                    .unzip();
                [along, plain].concat()
            })?;
            Ok((T::to_cpu_storage_owned(sums), Shape::from((2, count))))
        })
    }
}

struct InputGradient {
    forward: Normalise,
    sums: Tensor,
}

impl InputGradient {
    fn compute<T: Real>(
        &self,
        planes: Planes,
        xs: &[T],
        affine: &[T],
        grads: &[T],
        moments: &[T],
        sums: &[T],
    ) -> Vec<T> {
        let weights = &affine[..planes.channels];
        let (along, plain) = sums.split_at(planes.batch * planes.channels);
        // Means over each set of the gradient of the normalised input, along it and plainly.
        let means: Vec<(T, T)> = (0..planes.sets())
            .map(|set| {
                let mean = |sums: &[T]| {
                    let total: f64 = planes
                        .planes_of(set)
                        .map(|p| (sums[p] * weights[p % planes.channels]).f64())
                        .sum();
                    T::of(total / planes.count())
                };
                (mean(along), mean(plain))
            })
            .collect();
        let mut result = vec![T::zero(); xs.len()];
        result
            .par_chunks_mut(planes.pixels)
            .enumerate()
            .for_each(|(plane, result)| {
                let set = planes.set_of(plane);
                let (mean, inverse) = self.forward.mean_and_inverse(moments, set);
                let weight = weights[plane % planes.channels];
                let (mean_along, mean_plain) = means[set];
                let inputs = planes
                    .plane(xs, plane)
                    .iter()
                    .zip(planes.plane(grads, plane));
                for (result, (&x, &grad)) in result.iter_mut().zip(inputs) {
                    let normed = (x - mean) * inverse;
                    *result = (grad * weight - mean_plain - normed * mean_along) * inverse;
                }
            });
        result
    }
}

impl CustomOp3 for InputGradient {
    fn name(&self) -> &'static str {
        "norm-input-gradient"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
        grads: &CpuStorage,
        grads_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::new(layout, self.forward.statistics);
        for_real!(xs, T => {
            let (xs, affine) = (elements::<T>(xs, layout)?, elements(affine, affine_layout)?);
            let grads = elements(grads, grads_layout)?;
            let result = with_elements(&self.forward.moments, |moments: &[T]| {
                with_elements(&self.sums, |sums: &[T]| {
                    self.compute(planes, xs, affine, grads, moments, sums)
                })
            })??;
            Ok((T::to_cpu_storage_owned(result), layout.shape().clone()))
        })
    }
}
