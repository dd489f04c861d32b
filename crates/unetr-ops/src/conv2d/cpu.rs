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

    /// The convolution.
    fn convolve<T: Real>(&self, input: &[T], weight: &[T]) -> Vec<T> {
        let g = &self.geometry;
        match g.frame() {
            Some(frame) => same::forward(g, frame, input, weight),
            None => matrix::products(g, input, Some(weight), None)
                .0
                .unwrap_or_default(),
        }
    }

    /// The transposed convolution.
    fn transpose<T: Real>(&self, output: &[T], weight: &[T]) -> Vec<T> {
        let g = &self.geometry;
        match g.frame() {
            Some(frame) => same::input_gradient(g, frame, output, weight),
            None => matrix::input_gradient(g, output, weight),
        }
    }

    /// The gradients of the operation's input and of the weight, if they are wanted.
    fn gradients<T: Real>(
        &self,
        xs: &[T],
        weight: &[T],
        grads: &[T],
        wanted: [bool; 2],
    ) -> [Option<Vec<T>>; 2] {
        let g = &self.geometry;
        match (self.direction, g.frame()) {
            // Both see the same patches.
            (Direction::Transposed, None) => {
                let (weight, xs) = (wanted[0].then_some(weight), wanted[1].then_some(xs));
                matrix::products(g, grads, weight, xs).into()
            }
            (Direction::Transposed, _) => [
                wanted[0].then(|| self.convolve(grads, weight)),
                wanted[1].then(|| self.weight_gradient(grads, xs)),
            ],
            (Direction::Forward, _) => [
                wanted[0].then(|| self.transpose(grads, weight)),
                wanted[1].then(|| self.weight_gradient(xs, grads)),
            ],
        }
    }

    fn weight_gradient<T: Real>(&self, input: &[T], output: &[T]) -> Vec<T> {
        let g = &self.geometry;
        match g.frame() {
            Some(frame) => same::weight_gradient(g, frame, input, output),
            None => matrix::products(g, input, None, Some(output))
                .1
                .unwrap_or_default(),
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
        let (xs, weight) = (arguments[0], arguments[1]);
        let mut ys = match self.direction {
            Direction::Forward => self.convolve(xs, weight),
            Direction::Transposed => self.transpose(xs, weight),
        };
        if let Some(bias) = arguments.get(2) {
            let (_, _, height, width) = self.shape();
            let channels = ys.par_chunks_mut((height * width).max(1)).enumerate();
            channels.for_each(|(i, plane)| add_constant(plane, bias[i % bias.len()]));
        }
        (ys, ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        let (_, channels, height, width) = self.shape();
        let (xs, weight, grads) = (pass.arguments[0], pass.arguments[1], pass.grads);
        let wanted = [pass.wanted[0], pass.wanted[1]];
        let mut gradients = self.gradients(xs, weight, grads, wanted).to_vec();
        if let Some(&wanted) = pass.wanted.get(2) {
            gradients.push(wanted.then(|| bias_gradient(grads, channels, height * width)));
        }
        gradients
    }
}
