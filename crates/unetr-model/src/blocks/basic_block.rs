use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Activation, Mode};

use super::{ConvNormActivation, ConvNormActivationConfig};
use crate::DecoderConfig;

/// Two 3×3 convolutions without a shortcut: `lrelu(norm2(conv2(lrelu(norm1(conv1(x))))))`.
///
/// Parameters: `conv1.conv`, `norm1`, `conv2.conv`, `norm2`.
///
/// Source: MONAI's `UnetBasicBlock`
#[derive(Debug, Clone)]
pub struct BasicBlock {
    first: ConvNormActivation,
    second: ConvNormActivation,
}

impl BasicBlock {
    /// A block from `inputs` to `outputs` channels.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(
        inputs: usize,
        outputs: usize,
        stride: usize,
        cfg: &DecoderConfig,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let conv = |inputs, i: usize, stride| {
            let cfg = ConvNormActivationConfig {
                stride,
                norm: Some(cfg.norm),
                activation: Activation::LeakyRelu {
                    slope: cfg.leaky_slope,
                },
                ..ConvNormActivationConfig::default()
            };
            let (conv, norm) = (vb.pp(format!("conv{i}.conv")), vb.pp(format!("norm{i}")));
            ConvNormActivation::new(inputs, outputs, &cfg, conv, norm)
        };
        Ok(Self {
            first: conv(inputs, 1, stride)?,
            second: conv(outputs, 2, 1)?,
        })
    }

    /// Applies the block.
    ///
    /// # Shapes
    /// - `xs`: `[batch, inputs, height, width]`
    /// - returns: `[batch, outputs, height / stride, width / stride]`, rounded up
    ///
    /// # Errors
    /// When the channels do not fit.
    pub fn forward(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        self.second.forward(&self.first.forward(xs, mode)?, mode)
    }
}
