use candle_core::{DType, Result, Tensor};

use super::OP;
use crate::Precision;
use crate::conv2d::Geometry;
use crate::cuda::graph::{self, Gradient, Operation, Order, Pass};
use crate::cuda::rows::{bias_gradient, parameter};
use crate::cuda::{Array, Map, gemm, numbers, reorder, shuffle};

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
    // [inputs, outputs, taps] to [inputs, taps · outputs]: what a pixel gives is in one row.
    let weight_rows = reorder(&parameter(weight)?, [inputs, outputs, taps], dtype)?;
    let op = Upsampling {
        input: Map::of(xs, dtype, 1)?,
        weight: weight_rows.reshape([inputs, taps * outputs]),
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
    weight: Array,
    outputs: usize,
    kernel: usize,
    biased: bool,
    precision: Precision,
}

impl Upsampling {
    fn width(&self) -> usize {
        self.kernel * self.kernel * self.outputs
    }

    fn grid(&self) -> [usize; 3] {
        [self.input.batch, self.input.height, self.input.width]
    }

    fn forward(&self, bias: Option<&Array>) -> Result<Array> {
        let pixels = self.input.matrix();
        let rows = pixels.dims()[0];
        let apart = Array::empty(pixels.device(), pixels.dtype(), [rows, self.width()])?;
        gemm(&pixels, &self.weight, &apart, false, self.precision)?;
        shuffle(
            &apart,
            bias,
            self.grid(),
            (self.kernel, self.outputs),
            false,
        )
    }
}

impl Operation for Upsampling {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let map = &self.input;
        let pixels = map.matrix();
        let apart = shuffle(
            pass.grads,
            None,
            self.grid(),
            (self.kernel, self.outputs),
            true,
        )?;
        let of_input = match pass.wanted[0] {
            true => {
                let of_input = map.like(map.channels)?;
                gemm(
                    &apart,
                    self.weight.t(),
                    &of_input.matrix(),
                    false,
                    self.precision,
                )?;
                Some(Gradient::Map(of_input.array))
            }
            false => None,
        };
        let sums = Array::empty(pixels.device(), DType::F32, [map.channels, self.width()])?;
        gemm(pixels.t(), &apart, &sums, false, self.precision)?;
        let taps = self.kernel * self.kernel;
        let of_weight = reorder(&sums, [map.channels, taps, self.outputs], DType::F32)?;
        let of_weight = of_weight.reshape([map.channels, self.outputs, self.kernel, self.kernel]);
        let mut gradients = vec![of_input, Some(Gradient::Rows(of_weight))];
        if self.biased {
            let rows = pass.grads.count() / self.outputs;
            let grads = pass.grads.reshape([rows, self.outputs]);
            gradients.push(Some(Gradient::Rows(bias_gradient(&grads)?)));
        }
        Ok(gradients)
    }
}
