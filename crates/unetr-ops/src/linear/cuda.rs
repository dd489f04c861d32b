use candle_core::{Result, Tensor};

use super::OP;
use crate::cuda::graph::{self, Gradient, Operation, Order, Pass};
use crate::cuda::rows::Layer;
use crate::cuda::{Array, numbers};

pub(super) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let numbers = numbers();
    let op = Linear {
        xs: Array::of(xs)?.to_dtype(numbers.1)?,
        layer: Layer::new(weight, bias, numbers)?,
    };
    let result = op.layer.forward(&op.xs, None)?;
    let arguments: Vec<&Tensor> = [xs, weight].into_iter().chain(bias).collect();
    graph::record(OP, &arguments, result, Order::Rows, op)
}

struct Linear {
    xs: Array,
    layer: Layer,
}

impl Operation for Linear {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let of_input = match pass.wanted[0] {
            true => Some(self.layer.input_gradient(pass.grads)?),
            false => None,
        };
        let of_weight = self.layer.weight_gradient(pass.grads, &self.xs)?;
        let mut gradients = vec![of_input, Some(of_weight)];
        gradients.extend(self.layer.bias_gradient(pass.grads)?.map(Some));
        Ok(gradients
            .into_iter()
            .map(|x| x.map(Gradient::Rows))
            .collect())
    }
}
