use candle_core::{Result, Tensor};

use super::forward::{Kept, Widths};
use super::{Dense, EncoderBlock, Keep, OP};
use crate::activation::Pointwise;
use crate::attention::Heads;
use crate::cpu::Real;
use crate::layer_norm::LayerNorm;
use crate::linear::Layer;
use crate::many::{self, Backward, Operation};
use crate::precision;

pub(super) fn encoder_block(xs: &Tensor, block: &EncoderBlock<'_>) -> Result<Tensor> {
    let (batch, tokens, hidden) = xs.dims3()?;
    let slot = |Dense { weight, bias }| -> Result<Slot> {
        Ok(Slot {
            layer: Layer::new(weight)?,
            biased: bias.is_some(),
        })
    };
    let op = Op {
        norm: LayerNorm { eps: block.eps },
        heads: Heads {
            batch,
            tokens,
            heads: block.heads,
            size: hidden / block.heads,
            precision: precision::current(),
        },
        gelu: block.gelu.into(),
        keep: block.keep,
        qkv: slot(block.qkv)?,
        projection: slot(block.projection)?,
        linear1: slot(block.linear1)?,
        linear2: slot(block.linear2)?,
    };
    many::apply(OP, &block.arguments(xs), xs.shape(), op)
}

/// Everything about a block but its numbers.
#[derive(Debug, Clone)]
pub(super) struct Op {
    pub(super) norm: LayerNorm,
    pub(super) heads: Heads,
    pub(super) gelu: Pointwise,
    keep: Keep,
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
    pub(super) fn widths(&self) -> Widths {
        Widths {
            hidden: self.qkv.layer.inputs,
            qkv: self.qkv.layer.outputs,
            mlp: self.linear1.layer.outputs,
        }
    }

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

impl Operation for Op {
    type Kept<T: Real> = Kept<T>;

    fn keep(&self) -> Keep {
        self.keep
    }

    fn forward<T: Real>(&self, arguments: &[&[T]], keep: Keep) -> (Vec<T>, Kept<T>) {
        self.forward_parts(&self.parameters(arguments), keep)
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, Kept<T>>) -> Vec<Option<Vec<T>>> {
        let parameters = self.parameters(pass.arguments);
        self.backward_parts(&parameters, &pass.kept, pass.grads, pass.wanted)
    }
}
