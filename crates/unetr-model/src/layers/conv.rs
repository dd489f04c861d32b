use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Conv2dConfig, conv2d};

use super::{Bias, cast, cast_option};
use crate::init;

/// Convolution with a square kernel.
///
/// Parameters: `weight` `[outputs, inputs / groups, kernel, kernel]`, LeCun normal, and `bias`
/// `[outputs]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    cfg: Conv2dConfig,
}

impl Conv2d {
    /// A convolution from `inputs` to `outputs` channels.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        cfg: Conv2dConfig,
        bias: Bias,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let inputs = inputs / cfg.groups.max(1);
        let hint = init::lecun_normal(kernel * kernel * inputs);
        let weight = vb.get_with_hints((outputs, inputs, kernel, kernel), "weight", hint)?;
        Ok(Self {
            weight,
            bias: bias.get(outputs, &vb)?,
            cfg,
        })
    }

    /// Applies the convolution.
    ///
    /// # Shapes
    /// - `xs`: `[batch, inputs, height, width]`
    /// - returns: `[batch, outputs, height', width']`, see [`unetr_ops::conv2d`]
    ///
    /// # Errors
    /// When the channels or groups do not fit.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let bias = cast_option(self.bias.as_ref(), xs)?;
        conv2d(xs, &cast(&self.weight, xs)?, bias.as_ref(), &self.cfg)
    }

    /// The kernel, in the type of `xs`.
    ///
    /// # Errors
    /// When Candle cannot convert it.
    pub(crate) fn weight(&self, xs: &Tensor) -> Result<Tensor> {
        cast(&self.weight, xs)
    }
}
