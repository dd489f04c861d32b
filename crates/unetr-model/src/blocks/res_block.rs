use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Activation, Mode};

use super::{ConvNormActivation, ConvNormActivationConfig};
use crate::DecoderConfig;

/// Two 3×3 convolutions with a shortcut:
/// `lrelu(norm2(conv2(lrelu(norm1(conv1(x))))) + shortcut(x))`.
///
/// The shortcut is the identity, or `norm3(conv3(x))` with a 1×1 convolution where the number of
/// channels or the resolution changes.
///
/// Parameters: `conv1.conv`, `norm1`, `conv2.conv`, `norm2`, and `conv3.conv`, `norm3` if needed.
///
/// Source: MONAI's `UnetResBlock`
#[derive(Debug, Clone)]
pub struct ResBlock {
    first: ConvNormActivation,
    second: ConvNormActivation,
    shortcut: Option<ConvNormActivation>,
}

impl ResBlock {
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
        let plain = ConvNormActivationConfig {
            norm: Some(cfg.norm),
            ..ConvNormActivationConfig::default()
        };
        let activation = Activation::LeakyRelu {
            slope: cfg.leaky_slope,
        };
        let active = ConvNormActivationConfig {
            activation,
            ..plain
        };
        let conv = |inputs, i: usize, cfg: &ConvNormActivationConfig| {
            let (conv, norm) = (vb.pp(format!("conv{i}.conv")), vb.pp(format!("norm{i}")));
            ConvNormActivation::new(inputs, outputs, cfg, conv, norm)
        };
        let changes = inputs != outputs || stride != 1;
        let shortcut = ConvNormActivationConfig {
            kernel: 1,
            stride,
            ..plain
        };
        Ok(Self {
            first: conv(inputs, 1, &ConvNormActivationConfig { stride, ..active })?,
            second: conv(outputs, 2, &active)?,
            shortcut: changes.then(|| conv(inputs, 3, &shortcut)).transpose()?,
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
        let residual = match &self.shortcut {
            Some(shortcut) => shortcut.forward(xs, mode)?,
            None => xs.clone(),
        };
        let ys = self.first.forward(xs, mode)?;
        self.second.forward_residual(&ys, &residual, mode)
    }
}
