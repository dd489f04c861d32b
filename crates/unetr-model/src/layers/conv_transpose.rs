use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{ConvTranspose2dConfig, conv_transpose2d};

use super::{Bias, cast, cast_option};
use crate::init;

/// Transposed convolution with a square kernel.
///
/// Parameters: `weight` `[inputs, outputs, kernel, kernel]`, LeCun normal, and `bias` `[outputs]`.
/// As in Flax the fan-in counts every tap of the kernel, although with a stride of the kernel's size
/// an output sees only one.
#[derive(Debug, Clone)]
pub struct ConvTranspose2d {
    weight: Tensor,
    bias: Option<Tensor>,
    cfg: ConvTranspose2dConfig,
}

impl ConvTranspose2d {
    /// A transposed convolution from `inputs` to `outputs` channels.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        cfg: ConvTranspose2dConfig,
        bias: Bias,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let hint = init::lecun_normal(kernel * kernel * inputs);
        let weight = vb.get_with_hints((inputs, outputs, kernel, kernel), "weight", hint)?;
        Ok(Self {
            weight,
            bias: bias.get(outputs, &vb)?,
            cfg,
        })
    }

    /// The transposed convolution of the decoder: kernel and stride 2, twice the resolution.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn double(inputs: usize, outputs: usize, bias: Bias, vb: VarBuilder<'_>) -> Result<Self> {
        Self::new(
            inputs,
            outputs,
            2,
            ConvTranspose2dConfig::stride(2),
            bias,
            vb,
        )
    }

    /// Applies the transposed convolution.
    ///
    /// # Shapes
    /// - `xs`: `[batch, inputs, height, width]`
    /// - returns: `[batch, outputs, height', width']`, see [`unetr_ops::conv_transpose2d`]
    ///
    /// # Errors
    /// When the channels do not fit.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let bias = cast_option(self.bias.as_ref(), xs)?;
        conv_transpose2d(xs, &cast(&self.weight, xs)?, bias.as_ref(), &self.cfg)
    }
}
