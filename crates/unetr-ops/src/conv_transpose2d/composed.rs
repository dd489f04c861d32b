//! Transposed convolution as one matrix product, which gives what every input pixel adds at each
//! tap of the kernel, and a sum of the taps, each spread by the stride and shifted to its place.

use candle_core::{Result, Tensor};

use crate::conv2d::Geometry;

/// `geometry` is the convolution's whose input is the output here.
pub(super) fn conv_transpose2d(
    xs: &Tensor,
    weight: &Tensor,
    geometry: &Geometry,
) -> Result<Tensor> {
    let g = geometry;
    let (height, width, stride) = (g.out_height, g.out_width, g.stride);
    let (kernel_height, kernel_width) = (g.kernel_height, g.kernel_width);
    let weight = weight.reshape((g.outputs, ()))?.t()?.unsqueeze(0)?;
    let pixels = xs
        .contiguous()?
        .reshape((g.batch, g.outputs, height * width))?;
    let taps = weight.contiguous()?.broadcast_matmul(&pixels)?;
    let taps = taps.reshape((
        g.batch,
        g.inputs,
        kernel_height * kernel_width,
        height,
        width,
    ))?;
    let mut sum: Option<Tensor> = None;
    for row in 0..kernel_height {
        for column in 0..kernel_width {
            let tap = taps
                .narrow(2, row * kernel_width + column, 1)?
                .squeeze(2)?
                .contiguous()?;
            let tap = spread(&tap, 2, stride)?.pad_with_zeros(2, row, kernel_height - 1 - row)?;
            let tap =
                spread(&tap, 3, stride)?.pad_with_zeros(3, column, kernel_width - 1 - column)?;
            sum = Some(match sum {
                Some(sum) => (sum + tap)?,
                None => tap,
            });
        }
    }
    match sum {
        Some(full) => full
            .narrow(2, g.padding, g.height)?
            .narrow(3, g.padding, g.width)?
            .contiguous(),
        None => Tensor::zeros(
            (g.batch, g.inputs, g.height, g.width),
            xs.dtype(),
            xs.device(),
        ),
    }
}

/// Puts `stride - 1` zeros between the entries of a dimension.
fn spread(xs: &Tensor, dim: usize, stride: usize) -> Result<Tensor> {
    if stride == 1 {
        return Ok(xs.clone());
    }
    let mut shape = xs.dims().to_vec();
    let size = shape[dim];
    shape[dim] = size * stride;
    let spread = xs
        .unsqueeze(dim + 1)?
        .pad_with_zeros(dim + 1, 0, stride - 1)?;
    spread
        .reshape(shape)?
        .narrow(dim, 0, (size - 1) * stride + 1)?
        .contiguous()
}
