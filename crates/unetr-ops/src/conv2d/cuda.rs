use candle_core::{DType, Result, Tensor};

use super::{Geometry, OP};
use crate::Precision;
use crate::cuda::conv2d::Conv;
use crate::cuda::graph::{self, Gradient, Operation, Order, Pass};
use crate::cuda::head::Head;
use crate::cuda::rows::{add_bias, bias_gradient, parameter, weight_gradient};
use crate::cuda::{Array, Map, gemm, numbers, reorder, shuffle};

/// The most outputs of a 1×1 convolution that a thread computes for its pixel.
const FEW: usize = 16;

/// The convolution, if there are kernels for its geometry.
pub(super) fn conv2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Geometry,
) -> Result<Option<Tensor>> {
    let g = geometry;
    let square = g.kernel_height == g.kernel_width && g.groups == 1 && g.dilation == 1;
    let keeps = g.stride == 1 && g.kernel_height % 2 == 1 && g.padding == g.kernel_height / 2;
    let arguments: Vec<&Tensor> = [xs, weight].into_iter().chain(bias).collect();
    let (precision, dtype) = numbers();
    if square && keeps && g.kernel_height == 1 && g.outputs <= FEW && g.inputs < 1024 {
        let head = Head::new(Map::of(xs, dtype, 1)?, weight, bias)?;
        let result = head.forward()?;
        return graph::record(OP, &arguments, result, Order::Rows, head).map(Some);
    }
    if square && keeps {
        let op = Same {
            input: Map::of(xs, dtype, 1)?,
            conv: Conv::new(weight, precision)?,
            biased: bias.is_some(),
        };
        let result = op.conv.forward(&[&op.input])?;
        let dims = result.array.dims().to_vec();
        let result = match bias {
            Some(bias) => add_bias(&result.matrix(), &parameter(bias)?)?.into_shape(dims),
            None => result.array,
        };
        return graph::record(OP, &arguments, result, Order::Map, op).map(Some);
    }
    let whole = g.height.is_multiple_of(g.stride) && g.width.is_multiple_of(g.stride);
    if square && whole && g.stride == g.kernel_height && g.padding == 0 {
        return Patches::new(xs, weight, g)?
            .record(&arguments, bias)
            .map(Some);
    }
    Ok(None)
}

/// A convolution that keeps the resolution.
struct Same {
    input: Map,
    conv: Conv,
    biased: bool,
}

impl Operation for Same {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let map = &self.input;
        let channels = pass.grads.dims()[3];
        let grads = Map::new(
            pass.grads.clone(),
            [map.batch, map.height, map.width, channels],
        );
        let of_input = match pass.wanted[0] {
            true => self.conv.input_gradients(&grads, &[map], None)?.pop(),
            false => None,
        };
        let mut gradients = vec![of_input.map(|map| Gradient::Map(map.array))];
        gradients.push(Some(Gradient::Rows(
            self.conv.weight_gradient(&grads, &[map])?,
        )));
        if self.biased {
            gradients.push(Some(Gradient::Rows(bias_gradient(&grads.matrix())?)));
        }
        Ok(gradients)
    }
}

/// A convolution whose patches lie side by side, as a matrix product with each.
struct Patches {
    /// `[patches, taps · inputs]`
    rows: Array,
    /// `[outputs, taps · inputs]`
    weight: Array,
    /// Images, and patches down and across.
    grid: [usize; 3],
    kernel: usize,
    inputs: usize,
    outputs: usize,
    biased: bool,
    precision: Precision,
}

impl Patches {
    fn new(xs: &Tensor, weight: &Tensor, g: &Geometry) -> Result<Self> {
        let (precision, dtype) = numbers();
        let (grid, kernel, taps) = (
            [g.batch, g.out_height, g.out_width],
            g.stride,
            g.stride * g.stride,
        );
        let map = Map::of(xs, dtype, 1)?;
        let weight = reorder(&parameter(weight)?, [g.outputs, g.inputs, taps], dtype)?;
        Ok(Self {
            rows: shuffle(&map.array, None, grid, (kernel, g.inputs), true)?,
            weight: weight.reshape([g.outputs, taps * g.inputs]),
            grid,
            kernel,
            inputs: g.inputs,
            outputs: g.outputs,
            biased: false,
            precision,
        })
    }

    fn record(mut self, arguments: &[&Tensor], bias: Option<&Tensor>) -> Result<Tensor> {
        self.biased = bias.is_some();
        let rows = self.rows.dims()[0];
        let result = Array::empty(self.rows.device(), self.rows.dtype(), [rows, self.outputs])?;
        gemm(&self.rows, self.weight.t(), &result, false, self.precision)?;
        let result = match bias {
            Some(bias) => add_bias(&result, &parameter(bias)?)?,
            None => result,
        };
        let [batch, height, width] = self.grid;
        let result = result.into_shape([batch, height, width, self.outputs]);
        graph::record(OP, arguments, result, Order::Map, self)
    }
}

impl Operation for Patches {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let (rows, taps) = (self.rows.dims()[0], self.kernel * self.kernel);
        let grads = pass.grads.reshape([rows, self.outputs]);
        let of_input = match pass.wanted[0] {
            true => {
                let of_rows = Array::empty(grads.device(), grads.dtype(), self.rows.dims())?;
                gemm(&grads, &self.weight, &of_rows, false, self.precision)?;
                let map = shuffle(&of_rows, None, self.grid, (self.kernel, self.inputs), false)?;
                Some(Gradient::Map(map))
            }
            false => None,
        };
        let of_weight = weight_gradient(&grads, &self.rows, self.precision)?;
        let of_weight = reorder(&of_weight, [self.outputs, taps, self.inputs], DType::F32)?;
        let of_weight = of_weight.reshape([self.outputs, self.inputs, self.kernel, self.kernel]);
        let mut gradients = vec![of_input, Some(Gradient::Rows(of_weight))];
        if self.biased {
            gradients.push(Some(Gradient::Rows(bias_gradient(&grads)?)));
        }
        Ok(gradients)
    }
}
