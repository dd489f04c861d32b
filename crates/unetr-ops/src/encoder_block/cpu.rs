use candle_core::{Result, Tensor};

use super::{Dense, EncoderBlock, Keep, OP};
use crate::Gelu;
use crate::activation::Pointwise;
use crate::attention::Heads;
use crate::cpu::{Real, add, add_in_parallel, for_each_row};
use crate::layer_norm::LayerNorm;
use crate::linear::Layer;
use crate::many::{self, Backward, Operation};

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
        gelu: block.gelu,
        keep: block.keep,
        qkv,
        projection,
        linear1,
        linear2,
    };
    many::apply(OP, &arguments, xs.shape(), op)
}

/// Everything about a block but its numbers.
#[derive(Debug, Clone)]
struct Op {
    norm: LayerNorm,
    heads: Heads,
    gelu: Gelu,
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
struct Weights<'a, T> {
    slot: Slot,
    weight: &'a [T],
    bias: Option<&'a [T]>,
}

/// The numbers of a block, in the order of its arguments.
struct Parameters<'a, T> {
    xs: &'a [T],
    norm1: (&'a [T], &'a [T]),
    qkv: Weights<'a, T>,
    projection: Weights<'a, T>,
    norm2: (&'a [T], &'a [T]),
    linear1: Weights<'a, T>,
    linear2: Weights<'a, T>,
}

/// What the forward pass keeps.
#[derive(Debug)]
struct Kept<T> {
    qkv: Vec<T>,
    mixed: Vec<T>,
    /// The sum after the attention.
    middle: Vec<T>,
    /// The MLP's hidden layer before its GELU.
    hidden: Vec<T>,
}

/// The gradients of the arguments, last ones first.
struct Gradients<'a, T> {
    /// Which arguments have no gradient yet, and whether theirs is wanted.
    wanted: &'a [bool],
    values: Vec<Option<Vec<T>>>,
}

impl<T> Gradients<'_, T> {
    /// The gradient of the next argument, computed if it is wanted.
    fn push(&mut self, gradient: impl FnOnce() -> Vec<T>) {
        let wanted = self.wanted.split_last();
        self.values.push(wanted.and_then(|(wanted, others)| {
            self.wanted = others;
            wanted.then(gradient)
        }));
    }
}

impl<T: Real> Weights<'_, T> {
    fn forward(&self, xs: &[T]) -> Vec<T> {
        self.slot.layer.forward(xs, self.weight, self.bias)
    }

    /// `residual + forward(xs)`
    fn forward_residual(&self, xs: &[T], residual: &[T]) -> Vec<T> {
        let mut ys = residual.to_vec();
        if let Some(bias) = self.bias {
            for_each_row(&mut ys, bias.len(), |row| add(row, bias));
        }
        self.slot.layer.add_to(&mut ys, xs, self.weight);
        ys
    }

    /// The gradient of the input; those of the parameters go to `gradients`, last ones first.
    fn backward(&self, xs: &[T], grads: &[T], gradients: &mut Gradients<'_, T>) -> Vec<T> {
        let layer = self.slot.layer;
        if self.bias.is_some() {
            gradients.push(|| layer.bias_gradient(grads));
        }
        gradients.push(|| layer.weight_gradient(xs, grads));
        layer.input_gradient(grads, self.weight)
    }
}

impl Op {
    fn parameters<'a, T: Real>(&self, arguments: &[&'a [T]]) -> Parameters<'a, T> {
        let mut arguments = arguments.iter().copied();
        let mut next = || arguments.next().unwrap_or_default();
        let weights = |next: &mut dyn FnMut() -> &'a [T], slot: Slot| Weights {
            slot,
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
        let p = self.parameters(arguments);
        // What is not kept is freed as soon as it has been used.
        let kept = |values: Vec<T>| match keep {
            Keep::Activations => values,
            Keep::Input => Vec::new(),
        };
        let normed = self.norm.forward(p.xs, p.norm1.0, p.norm1.1);
        let qkv = p.qkv.forward(&normed);
        drop(normed);
        let mixed = self.heads.forward(&qkv);
        let qkv = kept(qkv);
        let middle = p.projection.forward_residual(&mixed, p.xs);
        let mixed = kept(mixed);
        let normed = self.norm.forward(&middle, p.norm2.0, p.norm2.1);
        let hidden = p.linear1.forward(&normed);
        drop(normed);
        let activated = Pointwise::from(self.gelu).forward(&hidden);
        let hidden = kept(hidden);
        let ys = p.linear2.forward_residual(&activated, &middle);
        let kept = Kept {
            qkv,
            mixed,
            middle,
            hidden,
        };
        (ys, kept)
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, Kept<T>>) -> Vec<Option<Vec<T>>> {
        let p = self.parameters(pass.arguments);
        let grads = pass.grads;
        let Kept {
            qkv,
            mixed,
            middle,
            hidden,
        } = pass.kept;
        let gelu = Pointwise::from(self.gelu);
        let mut gradients = Gradients {
            wanted: pass.wanted,
            values: Vec::new(),
        };
        let activated = gelu.forward(&hidden);
        let of_activated = p.linear2.backward(&activated, grads, &mut gradients);
        drop(activated);
        let of_hidden = gelu.backward(&hidden, &of_activated);
        drop((hidden, of_activated));
        let normed = self.norm.forward(&middle, p.norm2.0, p.norm2.1);
        let of_normed = p.linear1.backward(&normed, &of_hidden, &mut gradients);
        drop((normed, of_hidden));
        let norm2 = self.norm.backward(&middle, p.norm2.0, &of_normed);
        drop((middle, of_normed));
        gradients.push(|| norm2.bias);
        gradients.push(|| norm2.weight);
        let mut of_middle = norm2.input;
        add_in_parallel(&mut of_middle, grads);

        let of_mixed = p.projection.backward(&mixed, &of_middle, &mut gradients);
        drop(mixed);
        let of_qkv = self.heads.backward(&qkv, &of_mixed);
        drop((qkv, of_mixed));
        let normed = self.norm.forward(p.xs, p.norm1.0, p.norm1.1);
        let of_normed = p.qkv.backward(&normed, &of_qkv, &mut gradients);
        let norm1 = self.norm.backward(p.xs, p.norm1.0, &of_normed);
        gradients.push(|| norm1.bias);
        gradients.push(|| norm1.weight);
        let mut of_xs = norm1.input;
        add_in_parallel(&mut of_xs, &of_middle);
        gradients.push(|| of_xs);
        gradients.values.reverse();
        gradients.values
    }
}
