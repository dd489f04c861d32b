use candle_core::{Result, Tensor, WithDType as _};

use super::forward::Kept;
use super::{Dense, EncoderBlock, Keep, OP};
use crate::activation::Pointwise;
use crate::attention::Heads;
use crate::cpu::{Locked, Real, for_real};
use crate::layer_norm::LayerNorm;
use crate::linear::Layer;
use crate::many;

pub(super) fn encoder_block(xs: &Tensor, block: &EncoderBlock<'_>) -> Result<Tensor> {
    let (batch, tokens, hidden) = xs.dims3()?;
    let mut arguments = vec![xs];
    let dense = |arguments: &mut Vec<_>, Dense { weight, bias }| -> Result<Slot> {
        arguments.push(weight);
        arguments.extend(bias);
        Ok(Slot {
            layer: Layer::new(weight)?,
            biased: bias.is_some(),
        })
    };
    arguments.extend([block.norm1.weight, block.norm1.bias]);
    let qkv = dense(&mut arguments, block.qkv)?;
    let projection = dense(&mut arguments, block.projection)?;
    arguments.extend([block.norm2.weight, block.norm2.bias]);
    let linear1 = dense(&mut arguments, block.linear1)?;
    let linear2 = dense(&mut arguments, block.linear2)?;
    let op = Op {
        norm: LayerNorm { eps: block.eps },
        heads: Heads {
            batch,
            tokens,
            heads: block.heads,
            size: hidden / block.heads,
        },
        gelu: block.gelu.into(),
        qkv,
        projection,
        linear1,
        linear2,
    };
    let arguments: Vec<Tensor> = arguments
        .into_iter()
        .map(Tensor::contiguous)
        .collect::<Result<_>>()?;
    let locked = Locked::new(&arguments);
    for_real!(xs, T => {
        let parameters = op.parameters::<T>(&locked.elements()?);
        let wants = block.keep == Keep::Activations && many::tracked(&arguments);
        let (ys, kept) = op.forward(&parameters, wants);
        drop(locked);
        let result = (T::to_cpu_storage_owned(ys), xs.shape().clone());
        many::node(OP, &arguments, result, Node { op, kept })
    })
}

/// Everything about a block but its numbers.
#[derive(Debug, Clone)]
pub(super) struct Op {
    pub(super) norm: LayerNorm,
    pub(super) heads: Heads,
    pub(super) gelu: Pointwise,
    qkv: Slot,
    projection: Slot,
    linear1: Slot,
    linear2: Slot,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    layer: Layer,
    biased: bool,
}

/// The numbers of a layer.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a, T> {
    pub(super) layer: Layer,
    pub(super) weight: &'a [T],
    pub(super) bias: Option<&'a [T]>,
}

/// The numbers of a block, in the order of its arguments.
pub(super) struct Parameters<'a, T> {
    pub(super) xs: &'a [T],
    pub(super) norm1: (&'a [T], &'a [T]),
    pub(super) qkv: Weights<'a, T>,
    pub(super) projection: Weights<'a, T>,
    pub(super) norm2: (&'a [T], &'a [T]),
    pub(super) linear1: Weights<'a, T>,
    pub(super) linear2: Weights<'a, T>,
}

impl Op {
    fn parameters<'a, T: Real>(&self, arguments: &[&'a [T]]) -> Parameters<'a, T> {
        let mut arguments = arguments.iter().copied();
        let mut next = || arguments.next().unwrap_or_default();
        let weights = |next: &mut dyn FnMut() -> &'a [T], slot: Slot| Weights {
            layer: slot.layer,
            weight: next(),
            bias: slot.biased.then(next),
        };
        Parameters {
            xs: next(),
            norm1: (next(), next()),
            qkv: weights(&mut next, self.qkv),
            projection: weights(&mut next, self.projection),
            norm2: (next(), next()),
            linear1: weights(&mut next, self.linear1),
            linear2: weights(&mut next, self.linear2),
        }
    }
}

/// The block in Candle's graph.
struct Node<T: Real> {
    op: Op,
    /// Nothing if it is to be computed again.
    kept: Option<Vec<Kept<T>>>,
}

impl<T: Real> many::Backward for Node<T> {
    fn backward(
        &self,
        arguments: &[Tensor],
        wanted: &[bool],
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let grads = [grad.clone()];
        let (locked, locked_grads) = (Locked::new(arguments), Locked::new(&grads));
        let parameters = self.op.parameters::<T>(&locked.elements()?);
        let grads = locked_grads.elements()?[0];
        let again;
        let kept = match &self.kept {
            Some(kept) => kept,
            None => {
                again = self.op.forward(&parameters, true).1.unwrap_or_default();
                &again
            }
        };
        let gradients = self.op.backward(&parameters, kept, grads, wanted);
        let tensors = gradients.into_iter().zip(arguments);
        tensors
            .map(|(values, x)| {
                let tensor = |values| Tensor::from_vec(values, x.shape(), grad.device());
                values.map(tensor).transpose()
            })
            .collect()
    }
}
