//! Two-dimensional convolution.

mod composed;
mod cpu;
mod geometry;
mod patches;

use candle_core::{Result, Tensor};

pub(crate) use cpu::{Convolution, Product};
pub(crate) use geometry::Geometry;

use crate::cpu::runs_on_cpu;
use crate::error::check_shape;

const OP: &str = "conv2d";

/// How a convolution moves over its input; the same along height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Distance between neighbouring outputs, in input pixels.
    pub stride: usize,
    /// Zeros added on each side of the input.
    pub padding: usize,
    /// Distance between neighbouring kernel taps, in input pixels.
    pub dilation: usize,
    /// Channels are split into so many groups that do not see each other.
    pub groups: usize,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
        }
    }
}

impl Conv2dConfig {
    /// The size of the output along a dimension of `size` pixels and `kernel` taps; `None` when
    /// the kernel is larger than the padded input.
    pub fn output_size(&self, size: usize, kernel: usize) -> Option<usize> {
        let extent = self.dilation * (kernel.checked_sub(1)?) + 1;
        let room = (size + 2 * self.padding).checked_sub(extent)?;
        Some(room / self.stride.max(1) + 1)
    }
}

/// Two-dimensional cross-correlation, as every deep-learning library calls convolution.
///
/// # Shapes
/// - `xs`: `[batch, in, height, width]`
/// - `weight`: `[out, in / groups, kernel height, kernel width]`
/// - `bias`: `[out]`
/// - returns: `[batch, out, height', width']` with
///   `height' = (height + 2·padding - dilation·(kernel height - 1) - 1) / stride + 1`
///
/// # Errors
/// When shapes, groups, stride or dilation do not fit.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{Conv2dConfig, conv2d};
///
/// let xs = Tensor::ones((1, 3, 8, 6), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::ones((4, 3, 3, 3), DType::F32, &Device::Cpu)?;
/// let same = Conv2dConfig { padding: 1, ..Default::default() };
/// assert_eq!(conv2d(&xs, &weight, None, &same)?.dims(), [1, 4, 8, 6]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    cfg: &Conv2dConfig,
) -> Result<Tensor> {
    let geometry = Geometry::new(xs, weight, cfg)?;
    if let Some(bias) = bias {
        check_shape(OP, "the bias", bias, geometry.outputs)?;
    }
    let ys = if runs_on_cpu(xs) {
        Convolution {
            geometry,
            product: Product::Output,
        }
        .apply(xs, weight)?
    } else {
        composed::conv2d(xs, weight, &geometry)?
    };
    match bias {
        Some(bias) => ys.broadcast_add(&bias.reshape((1, geometry.outputs, 1, 1))?),
        None => Ok(ys),
    }
}
