use candle_core::{DType, Result, Tensor};

use super::{NormedConv, OP, ResidualBlock};
use crate::cuda::conv2d::{Conv, LANES};
use crate::cuda::graph::{self, Gradient, Kept, Operation, Order, Pass};
use crate::cuda::norm::{Normed, Shortcut};
use crate::cuda::{Array, Map, numbers};
use crate::{Affine, Precision};

pub(super) fn residual_block(inputs: &[&Tensor], block: &ResidualBlock<'_>) -> Result<Tensor> {
    let (precision, dtype) = numbers();
    let arguments = block.arguments(inputs);
    // An image of three channels goes through the kernels that want multiples of sixteen.
    let outputs = block.first.weight.dim(0)?;
    let multiple =
        match precision != Precision::Full && outputs.is_multiple_of(LANES) && inputs.len() == 1 {
            true if block.shortcut.is_some() => LANES,
            _ => 1,
        };
    let op = Block {
        inputs: inputs
            .iter()
            .map(|xs| Map::of(xs, dtype, multiple))
            .collect::<Result<_>>()?,
        channels: inputs.iter().map(|xs| xs.dim(1)).collect::<Result<_>>()?,
        first: Layer::new(&block.first, precision)?,
        second: Layer::new(&block.second, precision)?,
        shortcut: block
            .shortcut
            .as_ref()
            .map(|conv| Layer::new(conv, precision))
            .transpose()?,
        eps: block.eps,
        slope: block.negative_slope,
        kept: Kept::default(),
    };
    let (result, kept) = op.forward()?;
    op.kept.set(kept);
    graph::record(OP, &arguments, result.array, Order::Map, op)
}

/// A convolution and the normalisation behind it.
struct Layer {
    conv: Conv,
    affine: Option<[Tensor; 2]>,
}

impl Layer {
    fn new(layer: &NormedConv<'_>, precision: Precision) -> Result<Self> {
        let detached = |affine: Affine<'_>| [affine.weight.detach(), affine.bias.detach()];
        Ok(Self {
            conv: Conv::new(layer.weight, precision)?,
            affine: layer.affine.map(detached),
        })
    }

    fn forward(&self, inputs: &[&Map], eps: f64) -> Result<Normed> {
        let affine = self
            .affine
            .as_ref()
            .map(|[weight, bias]| Affine { weight, bias });
        Normed::new(self.conv.forward(inputs)?, affine, eps)
    }

    /// Of the convolution's weight, and of scale and shift if there are any.
    fn gradients(
        &self,
        grads: &Map,
        inputs: &[&Map],
        (scale, shift): (Array, Array),
    ) -> Result<Vec<Array>> {
        let mut gradients = vec![self.conv.weight_gradient(grads, inputs)?];
        if self.affine.is_some() {
            gradients.extend([scale, shift]);
        }
        Ok(gradients)
    }
}

struct Block {
    inputs: Vec<Map>,
    /// Those of the inputs, which their maps may fill up.
    channels: Vec<usize>,
    first: Layer,
    second: Layer,
    shortcut: Option<Layer>,
    eps: f64,
    slope: f64,
    kept: Kept<Intermediates>,
}

/// What the convolutions give, and its statistics.
struct Intermediates {
    first: Normed,
    second: Normed,
    shortcut: Option<Normed>,
}

impl Block {
    fn forward(&self) -> Result<(Map, Intermediates)> {
        let inputs: Vec<&Map> = self.inputs.iter().collect();
        let first = self.first.forward(&inputs, self.eps)?;
        let active = first.apply(Shortcut::None, self.slope)?;
        let second = self.second.forward(&[&active], self.eps)?;
        drop(active);
        let shortcut = match &self.shortcut {
            Some(layer) => Some(layer.forward(&inputs, self.eps)?),
            None => None,
        };
        let kept = Intermediates {
            first,
            second,
            shortcut,
        };
        let result =
            self.with_shortcut(&kept, |shortcut| kept.second.apply(shortcut, self.slope))?;
        Ok((result, kept))
    }

    /// Calls `f` with what is added before the last activation.
    fn with_shortcut<R>(
        &self,
        kept: &Intermediates,
        f: impl FnOnce(Shortcut<'_>) -> Result<R>,
    ) -> Result<R> {
        match &kept.shortcut {
            Some(normed) => f(Shortcut::Normed(normed)),
            None => f(Shortcut::Identity(&Map::concatenate(&self.inputs)?)),
        }
    }
}

impl Operation for Block {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let kept = self.kept.take_or(|| Ok(self.forward()?.1))?;
        let inputs: Vec<&Map> = self.inputs.iter().collect();
        let Map {
            batch,
            height,
            width,
            channels,
            ..
        } = kept.second.map;
        let dims = [batch, height, width, channels];
        let (grads, result) = (
            Map::new(pass.grads.clone(), dims),
            Map::new(pass.result.clone(), dims),
        );

        let last = self.with_shortcut(&kept, |shortcut| {
            kept.second
                .backward(&grads, Some(&result), shortcut, self.slope)
        })?;
        let active = kept.first.apply(Shortcut::None, self.slope)?;
        let of_second =
            self.second
                .gradients(&last.input, &[&active], (last.factor, last.summand.clone()))?;
        let of_active = self
            .second
            .conv
            .input_gradients(&last.input, &[&active], None)?;
        drop(active);
        let middle = kept
            .first
            .backward(&of_active[0], None, Shortcut::None, self.slope)?;
        drop(of_active);
        let parameters = (middle.factor, middle.summand);
        let of_first = self.first.gradients(&middle.input, &inputs, parameters)?;
        let mut of_parameters = vec![of_first, of_second];
        if let (Some(layer), Some(grads)) = (&self.shortcut, &last.shortcut) {
            of_parameters.push(layer.gradients(
                grads,
                &inputs,
                (last.shortcut_factor, last.summand),
            )?);
        }

        let mut gradients = vec![None; inputs.len()];
        if pass.wanted[..inputs.len()].contains(&true) {
            let of_inputs = self
                .first
                .conv
                .input_gradients(&middle.input, &inputs, None)?;
            let of_inputs = match (&self.shortcut, &last.shortcut) {
                (Some(layer), Some(grads)) => {
                    layer
                        .conv
                        .input_gradients(grads, &inputs, Some(of_inputs))?
                }
                (None, Some(grads)) => identity(grads, of_inputs)?,
                (_, None) => of_inputs,
            };
            for ((gradient, map), channels) in
                gradients.iter_mut().zip(of_inputs).zip(&self.channels)
            {
                *gradient = Some(Gradient::Map(map.without_padding(*channels)?.array));
            }
        }
        gradients.extend(of_parameters.into_iter().flatten().map(|array| {
            debug_assert_eq!(array.dtype(), DType::F32);
            Some(Gradient::Rows(array))
        }));
        Ok(gradients)
    }
}

/// Adds the gradient of a shortcut without a convolution.
fn identity(grads: &Map, of_inputs: Vec<Map>) -> Result<Vec<Map>> {
    let mut first = 0;
    let sums = of_inputs.into_iter().map(|map| {
        let part = grads.channels(first, map.channels)?;
        first += map.channels;
        let dims = [map.batch, map.height, map.width, map.channels];
        Ok(Map::new(map.array.add(&part.array)?, dims))
    });
    sums.collect()
}
