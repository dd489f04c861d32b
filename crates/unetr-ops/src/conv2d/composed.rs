//! Convolution as a sum over the kernel's taps: each tap is one matrix product with a shifted view
//! of the padded input. Right on every device, and its gradient is Candle's own.

use candle_core::{Result, Tensor};

use super::Geometry;

pub(super) fn conv2d(xs: &Tensor, weight: &Tensor, geometry: &Geometry) -> Result<Tensor> {
    let g = geometry;
    let (groups, padding) = (g.groups, g.padding);
    let (group_inputs, group_outputs) = (g.inputs / groups, g.outputs / groups);
    let padded = xs
        .pad_with_zeros(2, padding, padding)?
        .pad_with_zeros(3, padding, padding)?;
    // [groups, out / groups, in / groups, kernel height, kernel width]
    let weight = weight.reshape((
        groups,
        group_outputs,
        group_inputs,
        g.kernel_height,
        g.kernel_width,
    ))?;
    let mut sum: Option<Tensor> = None;
    for row in 0..g.kernel_height {
        for column in 0..g.kernel_width {
            let rows = every(&padded, 2, row * g.dilation, g.out_height, g.stride)?;
            let view = every(&rows, 3, column * g.dilation, g.out_width, g.stride)?;
            let view = view.reshape((g.batch, groups, group_inputs, g.out_height * g.out_width))?;
            let tap = weight.narrow(3, row, 1)?.narrow(4, column, 1)?;
            let tap = tap.reshape((1, groups, group_outputs, group_inputs))?;
            let product = tap.broadcast_matmul(&view.contiguous()?)?;
            sum = Some(match sum {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
    }
    let sum = match sum {
        Some(sum) => sum,
        None => Tensor::zeros(
            (g.batch, g.outputs, g.out_height * g.out_width),
            xs.dtype(),
            xs.device(),
        )?,
    };
    sum.reshape((g.batch, g.outputs, g.out_height, g.out_width))
}

/// `count` entries of dimension `dim`, from `start` on, `step` apart.
fn every(xs: &Tensor, dim: usize, start: usize, count: usize, step: usize) -> Result<Tensor> {
    if step == 1 {
        return xs.narrow(dim, start, count);
    }
    let indices: Vec<u32> = (0..count).map(|i| (start + i * step) as u32).collect();
    xs.index_select(&Tensor::new(indices, xs.device())?, dim)
}
