//! Convolution and by exchange of roles the transposed convolution, with their gradients.

use candle_core::{Result, Shape, Tensor, WithDType as _};
use rayon::prelude::*;

use super::geometry::Geometry;
use super::{matrix, same};
use crate::cpu::{Locked, Real, add_constant, for_real, sum};
use crate::many;

/// What an operation computes from its input and the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The convolution: from [`Geometry`]'s input to its output.
    Forward,
    /// The transposed convolution: from the output's side to the input's.
    Transposed,
}

/// A convolution or a transposed one as an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    pub(crate) geometry: Geometry,
    pub(crate) direction: Direction,
}

impl Convolution {
    /// Applies it, differentiably.
    pub(crate) fn apply(
        self,
        name: &'static str,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let arguments: Vec<Tensor> = [Some(xs), Some(weight), bias]
            .into_iter()
            .flatten()
            .map(Tensor::contiguous)
            .collect::<Result<_>>()?;
        let g = &self.geometry;
        let shape = match self.direction {
            Direction::Forward => g.output_shape(),
            Direction::Transposed => g.input_shape(),
        };
        let locked = Locked::new(&arguments);
        for_real!(xs, T => {
            let slices = locked.elements::<T>()?;
            let mut ys = self.product(self.direction, slices[0], slices[1]);
            if let Some(bias) = slices.get(2) {
                let channels = ys.par_chunks_mut((shape.2 * shape.3).max(1)).enumerate();
                channels.for_each(|(i, plane)| add_constant(plane, bias[i % bias.len()]));
            }
            drop(locked);
            many::node(name, &arguments, (T::to_cpu_storage_owned(ys), Shape::from(shape)), self)
        })
    }

    fn product<T: Real>(&self, direction: Direction, xs: &[T], weight: &[T]) -> Vec<T> {
        let g = &self.geometry;
        match (direction, g.frame()) {
            (Direction::Forward, Some(frame)) => same::forward(g, frame, xs, weight),
            (Direction::Forward, None) => matrix::forward(g, xs, weight),
            (Direction::Transposed, Some(frame)) => same::input_gradient(g, frame, xs, weight),
            (Direction::Transposed, None) => matrix::input_gradient(g, xs, weight),
        }
    }

    fn weight_gradient<T: Real>(&self, xs: &[T], grads: &[T]) -> Vec<T> {
        let g = &self.geometry;
        let (input, output) = match self.direction {
            Direction::Forward => (xs, grads),
            Direction::Transposed => (grads, xs),
        };
        match g.frame() {
            Some(frame) => same::weight_gradient(g, frame, input, output),
            None => matrix::weight_gradient(g, input, output),
        }
    }
}

/// The sums of planes over the images.
fn bias_gradient<T: Real>(grads: &[T], channels: usize, pixels: usize) -> Vec<T> {
    let sums: Vec<f64> = grads.par_chunks(pixels.max(1)).map(sum).collect();
    let images = |channel| sums.iter().skip(channel).step_by(channels);
    (0..channels)
        .map(|channel| T::of(images(channel).sum::<f64>()))
        .collect()
}

impl many::Backward for Convolution {
    fn backward(
        &self,
        arguments: &[Tensor],
        wanted: &[bool],
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (_, channels, height, width) = grad.dims4()?;
        let back = match self.direction {
            Direction::Forward => Direction::Transposed,
            Direction::Transposed => Direction::Forward,
        };
        let grads = [grad.clone()];
        let (locked, locked_grads) = (Locked::new(arguments), Locked::new(&grads));
        for_real!(grad, T => {
            let (slices, grads) = (locked.elements::<T>()?, locked_grads.elements()?[0]);
            let mut result = Vec::with_capacity(arguments.len());
            for (n, (argument, wanted)) in arguments.iter().zip(wanted).enumerate() {
                let gradient = match (n, wanted) {
                    (_, false) => None,
                    (0, true) => Some(self.product(back, grads, slices[1])),
                    (1, true) => Some(self.weight_gradient(slices[0], grads)),
                    (_, true) => Some(bias_gradient(grads, channels, height * width)),
                };
                let tensor = |values| Tensor::from_vec(values, argument.shape(), grad.device());
                result.push(gradient.map(tensor).transpose()?);
            }
            Ok(result)
        })
    }
}
