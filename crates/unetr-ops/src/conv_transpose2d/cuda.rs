use candle_core::{DType, Result, Tensor};

use super::OP;
use crate::Precision;
use crate::conv2d::Geometry;
use crate::cuda::conv2d::{pointwise, pointwise_weight};
use crate::cuda::graph::{self, Gradient, Operation, Order, Pass};
use crate::cuda::rows::{bias_gradient, parameter};
use crate::cuda::{Array, Map, numbers, reorder, shuffle};

/// The transposed convolution whose kernel is as large as its stride, as one matrix product.
pub(super) fn conv_transpose2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Geometry,
) -> Result<Option<Tensor>> {
    let g = geometry;
    let fits = g.kernel_height == g.kernel_width && g.stride == g.kernel_height && g.padding == 0;
    if !fits || (g.height, g.width) != (g.out_height * g.stride, g.out_width * g.stride) {
        return Ok(None);
    }
    let (precision, dtype) = numbers();
    let (inputs, outputs, kernel) = (g.outputs, g.inputs, g.stride);
    let taps = kernel * kernel;
    // Both ways round: what a pixel gives in a row, and in a column.
    let by_inputs = reorder(&parameter(weight)?, [inputs, outputs, taps], dtype)?;
    let by_outputs = reorder(&by_inputs, [1, inputs, taps * outputs], dtype)?;
    let op = Upsampling {
        input: Map::of(xs, dtype, 1)?,
        by_inputs: by_inputs.reshape([inputs, taps * outputs]),
        by_outputs: by_outputs.reshape([taps * outputs, inputs]),
        outputs,
        kernel,
        biased: bias.is_some(),
        precision,
    };
    let bias_array = bias.map(parameter).transpose()?;
    let result = op.forward(bias_array.as_ref())?;
    let arguments: Vec<&Tensor> = [xs, weight].into_iter().chain(bias).collect();
    graph::record(OP, &arguments, result, Order::Map, op).map(Some)
}

struct Upsampling {
    input: Map,
    /// `[inputs, taps · outputs]`
    by_inputs: Array,
    /// `[taps · outputs, inputs]`
    by_outputs: Array,
    outputs: usize,
    kernel: usize,
    biased: bool,
    precision: Precision,
}

impl Upsampling {
    fn grid(&self) -> [usize; 3] {
        [self.input.batch, self.input.height, self.input.width]
    }

    fn forward(&self, bias: Option<&Array>) -> Result<Array> {
        let apart = pointwise(&self.input, &self.by_outputs, self.precision)?;
        let sizes = (self.kernel, self.outputs);
        shuffle(&apart.array, bias, self.grid(), sizes, false)
    }
}

impl Operation for Upsampling {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let map = &self.input;
        let taps = self.kernel * self.kernel;
        let sizes = (self.kernel, self.outputs);
        let apart = shuffle(pass.grads, None, self.grid(), sizes, true)?;
        let [batch, height, width] = self.grid();
        let apart = Map::new(apart, [batch, height, width, taps * self.outputs]);
        let of_input = match pass.wanted[0] {
            true => Some(pointwise(&apart, &self.by_inputs, self.precision)?),
            false => None,
        };
        let of_weight = pointwise_weight(map, &apart, self.precision)?;
        let of_weight = reorder(&of_weight, [map.channels, taps, self.outputs], DType::F32)?;
        let dims = [map.channels, self.outputs, self.kernel, self.kernel];
        let mut gradients = vec![
            of_input.map(|map| Gradient::Map(map.array)),
            Some(Gradient::Rows(of_weight.reshape(dims))),
        ];
        if self.biased {
            let rows = pass.grads.count() / self.outputs;
            let grads = pass.grads.reshape([rows, self.outputs]);
            gradients.push(Some(Gradient::Rows(bias_gradient(&grads)?)));
        }
        Ok(gradients)
    }
}
