//! Convolution and by exchange of roles the transposed convolution, with their gradients.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::geometry::Geometry;
use super::{matrix, same};
use crate::Keep;
use crate::cpu::{Real, add_constant, sum};
use crate::many::{self, Backward, Operation};

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
        let arguments: Vec<&Tensor> = [xs, weight].into_iter().chain(bias).collect();
        many::apply(name, &arguments, self.shape(), self)
    }

    /// The shape of the result.
    fn shape(&self) -> (usize, usize, usize, usize) {
        match self.direction {
            Direction::Forward => self.geometry.output_shape(),
            Direction::Transposed => self.geometry.input_shape(),
        }
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

impl Operation for Convolution {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        let mut ys = self.product(self.direction, arguments[0], arguments[1]);
        if let Some(bias) = arguments.get(2) {
            let (_, _, height, width) = self.shape();
            let channels = ys.par_chunks_mut((height * width).max(1)).enumerate();
            channels.for_each(|(i, plane)| add_constant(plane, bias[i % bias.len()]));
        }
        (ys, ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        let (_, channels, height, width) = self.shape();
        let back = match self.direction {
            Direction::Forward => Direction::Transposed,
            Direction::Transposed => Direction::Forward,
        };
        pass.each(|argument| match argument {
            0 => self.product(back, pass.grads, pass.arguments[1]),
            1 => self.weight_gradient(pass.arguments[0], pass.grads),
            _ => bias_gradient(pass.grads, channels, height * width),
        })
    }
}
