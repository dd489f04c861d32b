use candle_core::{Result, Tensor};

use super::OP;
use crate::cuda::graph::{self, Gradient, Operation, Order, Pass};
use crate::cuda::rows::{LayerNorm, layer_norm_backward, parameter};
use crate::cuda::{Array, numbers};

pub(super) fn layer_norm(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let (_, dtype) = numbers();
    let (array, scale) = (Array::of(xs)?.to_dtype(dtype)?, parameter(weight)?);
    let norm = LayerNorm::new(&array, &scale, &parameter(bias)?, eps)?;
    let op = Normalised {
        xs: array,
        weight: scale,
        statistics: norm.statistics(),
    };
    graph::record(OP, &[xs, weight, bias], norm.result, Order::Rows, op)
}

struct Normalised {
    xs: Array,
    weight: Array,
    statistics: Array,
}

impl Operation for Normalised {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let (of_input, of_weight, of_bias) =
            layer_norm_backward(pass.grads, &self.xs, &self.weight, &self.statistics, None)?;
        let all = [of_input, of_weight, of_bias];
        Ok(all.map(|x| Some(Gradient::Rows(x))).into())
    }
}
