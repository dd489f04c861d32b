use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::backward::Wanted;
use super::forward::{Block, Kept, SECOND};
use super::{OP, ResidualBlock, Sizes};
use crate::Keep;
use crate::conv2d::{Frame, KernelShape};
use crate::cpu::{Real, unwritten};
use crate::many::{self, Backward, Operation};
use crate::precision::{self, Precision};

pub(super) fn residual_block(
    inputs: &[&Tensor],
    block: &ResidualBlock<'_>,
    sizes: Sizes,
) -> Result<Tensor> {
    let arguments = block.arguments(inputs);
    let convs: Vec<_> = block.convolutions().collect();
    let op = Op {
        sizes,
        inputs: inputs.iter().map(|xs| xs.dim(1)).collect::<Result<_>>()?,
        affine: convs.iter().map(|conv| conv.affine.is_some()).collect(),
        kernels: convs
            .iter()
            .map(|conv| conv.weight.dim(2))
            .collect::<Result<_>>()?,
        eps: block.eps,
        slope: block.negative_slope,
        precision: precision::current(),
    };
    let shape = (sizes.batch, sizes.outputs, sizes.height, sizes.width);
    many::apply(OP, &arguments, shape, op)
}

/// Everything about a block but its numbers.
#[derive(Debug, Clone)]
pub(super) struct Op {
    pub(super) sizes: Sizes,
    /// Channels of each input.
    pub(super) inputs: Vec<usize>,
    /// Of the first convolution, the second and the shortcut, if there is one: whether its
    /// normalisation has a scale and a shift,
    pub(super) affine: Vec<bool>,
    /// and the size of its kernel.
    pub(super) kernels: Vec<usize>,
    pub(super) eps: f64,
    pub(super) slope: f64,
    pub(super) precision: Precision,
}

impl Op {
    pub(super) fn pixels(&self) -> usize {
        self.sizes.height * self.sizes.width
    }

    /// The frame of every plane: its border is what the largest kernel reaches.
    pub(super) fn frame(&self) -> Frame {
        let reach = self.kernels.iter().max().map_or(0, |kernel| kernel / 2);
        Frame {
            height: self.sizes.height,
            width: self.sizes.width,
            rows: reach,
            columns: reach,
        }
    }

    /// The kernel of a convolution.
    pub(super) fn kernel_shape(&self, conv: usize) -> KernelShape {
        let inputs = if conv == SECOND {
            self.sizes.outputs
        } else {
            self.sizes.inputs
        };
        let kernel = self.kernels[conv];
        KernelShape {
            outputs: self.sizes.outputs,
            inputs,
            height: kernel,
            width: kernel,
            dilation: 1,
            precision: self.precision,
        }
    }

    /// The gradient of each input from those of the images' inputs, one after the other along the
    /// channels.
    fn split<T: Real>(&self, of_inputs: &[Vec<T>]) -> Vec<Option<Vec<T>>> {
        let pixels = self.pixels();
        let mut first = 0;
        let gradients = self.inputs.iter().map(|&channels| {
            // SAFETY: the channels of every image are copied.
            let mut result = unsafe { unwritten(of_inputs.len() * channels * pixels) };
            result
                .par_chunks_mut(channels * pixels)
                .zip(of_inputs)
                .for_each(|(to, from)| {
                    to.copy_from_slice(&from[first * pixels..][..channels * pixels]);
                });
            first += channels;
            Some(result)
        });
        gradients.collect()
    }
}

impl Operation for Op {
    type Kept<T: Real> = Vec<Kept<T>>;

    fn forward<T: Real>(&self, arguments: &[&[T]], keep: Keep) -> (Vec<T>, Vec<Kept<T>>) {
        Block::new(self, arguments).forward(keep)
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, Vec<Kept<T>>>) -> Vec<Option<Vec<T>>> {
        let (inputs, mut parameters) = pass.wanted.split_at(self.inputs.len());
        let weights = self.affine.iter().map(|&affine| {
            let wanted = parameters[0];
            parameters = &parameters[if affine { 3 } else { 1 }..];
            wanted
        });
        let wanted = Wanted {
            weights: weights.collect(),
            input: inputs.contains(&true),
        };
        let block = Block::new(self, pass.arguments);
        let (of_inputs, of_convs) = block.backward(pass.kept, pass.result, pass.grads, &wanted);
        let mut gradients = match wanted.input {
            true => self.split(&of_inputs),
            false => vec![None; self.inputs.len()],
        };
        for (conv, of_conv) in of_convs.into_iter().enumerate() {
            gradients.push(wanted.weights[conv].then_some(of_conv.weight));
            if self.affine[conv] {
                gradients.extend([Some(of_conv.scale), Some(of_conv.shift)]);
            }
        }
        gradients
    }
}
