//! Two-dimensional transposed convolution.

mod composed;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor};

use crate::conv2d::{Convolution, Direction, Geometry};
use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, shape_error, value_error};
use crate::precision;

const OP: &str = "conv_transpose2d";

/// How a transposed convolution places its kernel; the same along height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvTranspose2dConfig {
    /// Distance in the output between neighbouring inputs.
    pub stride: usize,
    /// Rows and columns cut from the beginning of the full output.
    pub crop_begin: usize,
    /// Rows and columns cut from the end of the full output. PyTorch's `padding` is the same
    /// number for both ends; Flax's `SAME` with kernel 3 and stride 2 is 0 and 1.
    pub crop_end: usize,
}

impl ConvTranspose2dConfig {
    /// Nothing is cropped.
    pub fn stride(stride: usize) -> Self {
        Self {
            stride,
            crop_begin: 0,
            crop_end: 0,
        }
    }
}

/// Two-dimensional transposed convolution: the gradient of a convolution with respect to its
/// input, as a layer that upsamples.
///
/// # Shapes
/// - `xs`: `[batch, in, height, width]`
/// - `weight`: `[in, out, kernel height, kernel width]`, PyTorch's layout and orientation
/// - `bias`: `[out]`
/// - returns: `[batch, out, height', width']` with
///   `height' = (height - 1)·stride + kernel height - crop_begin - crop_end`
///
/// # Errors
/// When the shapes do not fit, or when the crop leaves nothing.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{ConvTranspose2dConfig, conv_transpose2d};
///
/// let xs = Tensor::ones((1, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::ones((3, 2, 2, 2), DType::F32, &Device::Cpu)?;
/// let ys = conv_transpose2d(&xs, &weight, None, &ConvTranspose2dConfig::stride(2))?;
/// assert_eq!(ys.dims(), [1, 2, 8, 10]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv_transpose2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    cfg: &ConvTranspose2dConfig,
) -> Result<Tensor> {
    let geometry = geometry(xs, weight, cfg)?;
    if let Some(bias) = bias {
        check_shape(OP, "the bias", bias, geometry.inputs)?;
    }
    if runs_on_cpu(xs) {
        let convolution = Convolution {
            geometry,
            direction: Direction::Transposed,
        };
        return convolution.apply(OP, xs, weight, bias);
    }
    #[cfg(feature = "cuda")]
    if crate::cuda::runs_on_cuda(xs)
        && let Some(ys) = cuda::conv_transpose2d(xs, weight, bias, &geometry)?
    {
        return Ok(ys);
    }
    let xs = &xs.to_dtype(weight.dtype())?;
    let ys = composed::conv_transpose2d(xs, weight, &geometry)?;
    match bias {
        Some(bias) => ys.broadcast_add(&bias.reshape((1, geometry.inputs, 1, 1))?),
        None => Ok(ys),
    }
}

/// The convolution whose gradient this is: from what is the output here to what is the input.
fn geometry(xs: &Tensor, weight: &Tensor, cfg: &ConvTranspose2dConfig) -> Result<Geometry> {
    let &[batch, channels, height, width] = xs.dims() else {
        return Err(shape_error(
            OP,
            "the input",
            xs,
            "[batch, channels, height, width]",
        ));
    };
    let &[weight_channels, outputs, kernel_height, kernel_width] = weight.dims() else {
        return Err(shape_error(
            OP,
            "the weight",
            weight,
            "[in, out, height, width]",
        ));
    };
    if weight_channels != channels {
        let expected = format!("[{channels}, out, height, width]");
        return Err(shape_error(OP, "the weight", weight, expected));
    }
    if cfg.stride == 0 {
        return Err(value_error(OP, "the stride", &0, "1 or more"));
    }
    let crop = cfg.crop_begin + cfg.crop_end;
    let size = |size: usize, kernel: usize| {
        let full = size.checked_sub(1)? * cfg.stride + kernel;
        full.checked_sub(crop).filter(|&size| size > 0)
    };
    let Some((out_height, out_width)) = size(height, kernel_height).zip(size(width, kernel_width))
    else {
        let expected = format!("more than a crop of {crop} leaves");
        return Err(shape_error(OP, "the input", xs, expected));
    };
    Ok(Geometry {
        batch,
        inputs: outputs,
        height: out_height,
        width: out_width,
        outputs: channels,
        out_height: height,
        out_width: width,
        kernel_height,
        kernel_width,
        stride: cfg.stride,
        padding: cfg.crop_begin,
        dilation: 1,
        groups: 1,
        precision: precision::current(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    /// Image, weight, stride and crops.
    fn cases() -> Vec<([usize; 4], [usize; 4], ConvTranspose2dConfig)> {
        let config = |stride, crop_begin, crop_end| ConvTranspose2dConfig {
            stride,
            crop_begin,
            crop_end,
        };
        vec![
            ([2, 3, 4, 5], [3, 2, 2, 2], config(2, 0, 0)),
            ([1, 5, 3, 4], [5, 3, 3, 3], config(2, 0, 1)),
            ([1, 2, 3, 4], [2, 3, 3, 3], config(2, 1, 1)),
            ([2, 2, 3, 2], [2, 2, 3, 2], config(1, 0, 0)),
            ([1, 1, 1, 1], [1, 1, 4, 4], config(4, 0, 0)),
            ([1, 2, 2, 3], [2, 2, 1, 1], config(3, 0, 0)),
            ([1, 2, 3, 4], [2, 2, 1, 1], config(1, 0, 1)),
        ]
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (image, weight, cfg) in cases() {
            let inputs = [
                random(1, &image),
                random(2, &weight),
                random(3, &weight[1..2]),
            ];
            let what = format!("conv_transpose2d {image:?} {weight:?} {cfg:?}");
            assert_gradients(&what, &inputs, |x| {
                conv_transpose2d(&x[0], &x[1], Some(&x[2]), &cfg)
            });
        }
    }

    #[test]
    fn the_kernel_agrees_with_the_sum_over_taps() {
        let large = (
            [2, 32, 32, 40],
            [32, 16, 2, 2],
            ConvTranspose2dConfig::stride(2),
        );
        for (image, weight, cfg) in cases().into_iter().chain([large]) {
            let inputs = [random(1, &image), random(2, &weight)];
            let reference = |x: &[Tensor]| {
                composed::conv_transpose2d(&x[0], &x[1], &geometry(&x[0], &x[1], &cfg)?)
            };
            let what = format!("conv_transpose2d {image:?} {weight:?} {cfg:?}");
            assert_same(
                &what,
                &inputs,
                |x| conv_transpose2d(&x[0], &x[1], None, &cfg),
                reference,
            );
        }
    }

    #[test]
    fn a_crop_that_leaves_nothing_is_refused() {
        let cfg = ConvTranspose2dConfig {
            stride: 2,
            crop_begin: 2,
            crop_end: 2,
        };
        let error = conv_transpose2d(
            &random(1, &[1, 1, 2, 2]),
            &random(2, &[1, 1, 2, 2]),
            None,
            &cfg,
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("more than a crop of 4 leaves")
        );
    }
}
