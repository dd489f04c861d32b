use candle_core::{Result, Shape, Tensor, WithDType as _};
use rayon::prelude::*;

use super::backward::Wanted;
use super::forward::{Block, Kept, SECOND};
use super::{OP, ResidualBlock, Sizes};
use crate::conv2d::Frame;
use crate::cpu::{Locked, Real, for_real};
use crate::many;

pub(super) fn residual_block(
    inputs: &[&Tensor],
    block: &ResidualBlock<'_>,
    sizes: Sizes,
) -> Result<Tensor> {
    let convs = [Some(block.first), Some(block.second), block.shortcut];
    let convs: Vec<_> = convs.into_iter().flatten().collect();
    let mut arguments = inputs.to_vec();
    for conv in &convs {
        arguments.push(conv.weight);
        arguments.extend(
            conv.affine
                .iter()
                .flat_map(|affine| [affine.weight, affine.bias]),
        );
    }
    let arguments: Vec<Tensor> = arguments
        .iter()
        .map(|x| x.contiguous())
        .collect::<Result<_>>()?;
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
    };
    let keep = many::tracked(&arguments);
    let shape = Shape::from((sizes.batch, sizes.outputs, sizes.height, sizes.width));
    let locked = Locked::new(&arguments);
    for_real!(arguments[0], T => {
        let block = Block::<T>::new(&op, &locked.elements()?);
        let (ys, kept) = block.forward(keep);
        drop(locked);
        let storage = T::to_cpu_storage_owned(ys);
        many::node(OP, &arguments, (storage, shape), Node { op, kept })
    })
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

    /// The shape of the weight of a convolution.
    pub(super) fn weight_shape(&self, conv: usize) -> (usize, usize, usize, usize) {
        let inputs = if conv == SECOND {
            self.sizes.outputs
        } else {
            self.sizes.inputs
        };
        let kernel = self.kernels[conv];
        (self.sizes.outputs, inputs, kernel, kernel)
    }
}

/// The block in Candle's graph.
struct Node<T: Real> {
    op: Op,
    kept: Kept<T>,
}

impl<T: Real> many::Backward for Node<T> {
    fn backward(
        &self,
        arguments: &[Tensor],
        wanted: &[bool],
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let op = &self.op;
        let count = op.inputs.len();
        let results = [result.clone(), grad.clone()];
        let (locked, locked_results) = (Locked::new(arguments), Locked::new(&results));
        let block = Block::<T>::new(op, &locked.elements()?);
        let [ys, grads] = locked_results.elements()?[..] else {
            candle_core::bail!("{OP}: two results");
        };
        let mut weight = count;
        let weights = op.affine.iter().map(|&affine| {
            let wanted = wanted[weight];
            weight += if affine { 3 } else { 1 };
            wanted
        });
        let wanted = Wanted {
            weights: weights.collect(),
            input: wanted[..count].contains(&true),
        };
        let (of_input, of_convs) = block.backward(&self.kept, ys, grads, &wanted);
        let mut gradients = match of_input {
            Some(of_input) => split(&of_input, op)?.into_iter().map(Some).collect(),
            None => vec![None; count],
        };
        let device = grad.device();
        for (conv, of_conv) in of_convs.into_iter().enumerate() {
            let shape = op.weight_shape(conv);
            let weight = || Tensor::from_vec(of_conv.weight, shape, device);
            gradients.push(wanted.weights[conv].then(weight).transpose()?);
            if op.affine[conv] {
                for values in [of_conv.scale, of_conv.shift] {
                    gradients.push(Some(Tensor::from_vec(values, op.sizes.outputs, device)?));
                }
            }
        }
        Ok(gradients)
    }
}

/// The gradient of each input from that of all inputs, one after the other along the channels.
fn split<T: Real>(of_input: &[T], op: &Op) -> Result<Vec<Tensor>> {
    let Sizes {
        batch,
        inputs,
        height,
        width,
        ..
    } = op.sizes;
    let pixels = op.pixels();
    let mut first = 0;
    op.inputs
        .iter()
        .map(|&channels| {
            let mut result = vec![T::zero(); batch * channels * pixels];
            result
                .par_chunks_mut(channels * pixels)
                .zip(of_input.par_chunks(inputs * pixels))
                .for_each(|(to, from)| {
                    to.copy_from_slice(&from[first * pixels..][..channels * pixels]);
                });
            first += channels;
            let shape = (batch, channels, height, width);
            Tensor::from_vec(result, shape, &candle_core::Device::Cpu)
        })
        .collect()
}
