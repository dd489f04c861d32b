use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Activation, Affine, Mode, NormedConv, ResidualBlock, residual_block};

use super::concat::concat;
use super::{ConvNormActivation, ConvNormActivationConfig};
use crate::{DecoderConfig, NormConfig};

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
    /// The numbers of the operation that is the whole block, where there is one.
    fused: Option<Fused>,
}

#[derive(Debug, Clone, Copy)]
struct Fused {
    eps: f64,
    negative_slope: f64,
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
            fused: match cfg.norm {
                NormConfig::Instance { eps, .. } if stride == 1 => Some(Fused {
                    eps,
                    negative_slope: cfg.leaky_slope,
                }),
                _ => None,
            },
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
        self.forward_concat(&[xs], mode)
    }

    /// Applies the block to inputs one after the other along the channels.
    ///
    /// # Shapes
    /// - `inputs`: `[batch, inputs_i, height, width]` each, together `inputs` channels
    /// - returns: as [`ResBlock::forward`]
    ///
    /// # Errors
    /// When the channels or sizes do not fit.
    pub fn forward_concat(&self, inputs: &[&Tensor], mode: Mode) -> Result<Tensor> {
        if let (Some(fused), [xs, ..]) = (self.fused, inputs) {
            return self.forward_fused(inputs, xs, fused);
        }
        let xs = &concat(inputs)?;
        let residual = match &self.shortcut {
            Some(shortcut) => shortcut.forward(xs, mode)?,
            None => xs.clone(),
        };
        let ys = self.first.forward(xs, mode)?;
        self.second.forward_residual(&ys, &residual, mode)
    }

    fn forward_fused(&self, inputs: &[&Tensor], xs: &Tensor, fused: Fused) -> Result<Tensor> {
        let first = self.first.parameters(xs)?;
        let second = self.second.parameters(xs)?;
        let shortcut = match &self.shortcut {
            Some(shortcut) => Some(shortcut.parameters(xs)?),
            None => None,
        };
        let block = ResidualBlock {
            first: normed(&first),
            second: normed(&second),
            shortcut: shortcut.as_ref().map(normed),
            eps: fused.eps,
            negative_slope: fused.negative_slope,
        };
        residual_block(inputs, &block)
    }
}

fn normed((weight, affine): &(Tensor, Option<(Tensor, Tensor)>)) -> NormedConv<'_> {
    let affine = affine.as_ref();
    NormedConv {
        weight,
        affine: affine.map(|(weight, bias)| Affine { weight, bias }),
    }
}
