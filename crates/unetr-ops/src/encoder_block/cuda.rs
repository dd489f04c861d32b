use candle_core::{DType, Result, Tensor};

use super::{Dense, EncoderBlock, Keep, OP};
use crate::cuda::graph::{self, Gradient, Kept, Operation, Order, Pass};
use crate::cuda::rows::{
    Heads, Layer, LayerNorm, bias_gelu, bias_gelu_backward, layer_norm_backward, parameter,
};
use crate::cuda::{Array, numbers};
use crate::{Affine, Gelu};

pub(super) fn encoder_block(xs: &Tensor, block: &EncoderBlock<'_>) -> Result<Tensor> {
    let (precision, dtype) = numbers();
    let (batch, tokens, hidden) = xs.dims3()?;
    let norm =
        |norm: Affine<'_>| -> Result<_> { Ok((parameter(norm.weight)?, parameter(norm.bias)?)) };
    let layer = |Dense { weight, bias }| Layer::new(weight, bias, (precision, dtype));
    let op = Block {
        xs: Array::of(xs)?.to_dtype(dtype)?,
        norm1: norm(block.norm1)?,
        qkv: layer(block.qkv)?,
        projection: layer(block.projection)?,
        norm2: norm(block.norm2)?,
        linear1: layer(block.linear1)?,
        linear2: layer(block.linear2)?,
        heads: Heads {
            batch,
            tokens,
            heads: block.heads,
            size: hidden / block.heads,
            precision,
        },
        gelu: block.gelu,
        eps: block.eps,
        kept: Kept::default(),
    };
    let (result, kept) = op.forward()?;
    if block.keep == Keep::Activations {
        op.kept.set(kept);
    }
    graph::record(OP, &block.arguments(xs), result, Order::Rows, op)
}

struct Block {
    xs: Array,
    norm1: (Array, Array),
    qkv: Layer,
    projection: Layer,
    norm2: (Array, Array),
    linear1: Layer,
    linear2: Layer,
    heads: Heads,
    gelu: Gelu,
    eps: f64,
    kept: Kept<Intermediates>,
}

/// What is expensive to compute again.
struct Intermediates {
    /// `[rows, 2]`, of the first normalisation
    statistics1: Array,
    /// `[3, batch · heads, tokens, size]`
    qkv: Array,
    /// What the heads mix.
    mixed: Array,
    /// The sum in the middle.
    middle: Array,
    statistics2: Array,
    /// Before the GELU and its bias.
    hidden: Array,
}

impl Block {
    fn forward(&self) -> Result<(Array, Intermediates)> {
        let norm1 = LayerNorm::new(&self.xs, &self.norm1.0, &self.norm1.1, self.eps)?;
        let packed = self.qkv.product(&norm1.result)?;
        let qkv = self.heads.split(&packed, self.qkv.bias())?;
        drop(packed);
        let mixed = self.heads.forward(&qkv)?;
        let middle = self.projection.forward(&mixed, Some(&self.xs))?;
        let norm2 = LayerNorm::new(&middle, &self.norm2.0, &self.norm2.1, self.eps)?;
        let hidden = self.linear1.product(&norm2.result)?;
        let active = bias_gelu(&hidden, self.linear1.bias(), self.gelu)?;
        let result = self.linear2.forward(&active, Some(&middle))?;
        let kept = Intermediates {
            statistics1: norm1.statistics(),
            qkv,
            mixed,
            middle,
            statistics2: norm2.statistics(),
            hidden,
        };
        Ok((result, kept))
    }
}

impl Operation for Block {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let kept = self.kept.take_or(|| Ok(self.forward()?.1))?;
        let grads = pass.grads;
        let active = bias_gelu(&kept.hidden, self.linear1.bias(), self.gelu)?;
        let of_linear2 = layer_gradients(&self.linear2, grads, &active)?;
        drop(active);
        let of_active = self.linear2.input_gradient(grads)?;
        let of_hidden =
            bias_gelu_backward(&of_active, &kept.hidden, self.linear1.bias(), self.gelu)?;
        drop(of_active);
        let norm2 = LayerNorm::new(&kept.middle, &self.norm2.0, &self.norm2.1, self.eps)?.result;
        let of_linear1 = layer_gradients(&self.linear1, &of_hidden, &norm2)?;
        let of_norm2 = self.linear1.input_gradient(&of_hidden)?;
        drop((of_hidden, norm2));
        let (of_middle, of_weight2, of_bias2) = layer_norm_backward(
            &of_norm2,
            &kept.middle,
            &self.norm2.0,
            &kept.statistics2,
            Some(grads),
        )?;
        drop(of_norm2);

        let of_projection = layer_gradients(&self.projection, &of_middle, &kept.mixed)?;
        let of_mixed = self.projection.input_gradient(&of_middle)?;
        let of_packed = self.heads.backward(&of_mixed, &kept.qkv)?;
        drop(of_mixed);
        let norm1 = LayerNorm::new(&self.xs, &self.norm1.0, &self.norm1.1, self.eps)?.result;
        let of_qkv = layer_gradients(&self.qkv, &of_packed, &norm1)?;
        let of_norm1 = self.qkv.input_gradient(&of_packed)?;
        let (of_xs, of_weight1, of_bias1) = layer_norm_backward(
            &of_norm1,
            &self.xs,
            &self.norm1.0,
            &kept.statistics1,
            Some(&of_middle),
        )?;

        let norm1 = [of_weight1, of_bias1];
        let norm2 = [of_weight2, of_bias2];
        let all = [of_xs]
            .into_iter()
            .chain(norm1)
            .chain(of_qkv)
            .chain(of_projection)
            .chain(norm2)
            .chain(of_linear1)
            .chain(of_linear2);
        Ok(all.map(|array| Some(Gradient::Rows(array))).collect())
    }
}

/// Of the weight and, if there is one, the bias.
fn layer_gradients(layer: &Layer, grads: &Array, xs: &Array) -> Result<Vec<Array>> {
    let mut gradients = vec![layer.weight_gradient(grads, xs)?];
    gradients.extend(layer.bias_gradient(grads)?);
    debug_assert!(
        gradients
            .iter()
            .all(|gradient| gradient.dtype() == DType::F32)
    );
    Ok(gradients)
}
