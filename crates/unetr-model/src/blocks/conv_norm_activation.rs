use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Activation, Conv2dConfig, Epilogue, Mode};

use crate::NormConfig;
use crate::layers::{Bias, Conv2d, Norm};

/// A convolution with the normalisation and activation that follow it.
///
/// The convolution has a bias only if no normalisation follows, which would cancel it. Its padding
/// keeps the resolution at stride 1.
///
/// Source: torchvision's `Conv2dNormActivation`
#[derive(Debug, Clone)]
pub struct ConvNormActivation {
    conv: Conv2d,
    norm: Option<Norm>,
    activation: Activation,
}

/// How a [`ConvNormActivation`] computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvNormActivationConfig {
    /// Height and width of the kernel; default 3.
    pub kernel: usize,
    /// Distance between neighbouring outputs; default 1.
    pub stride: usize,
    /// Distance between neighbouring taps; default 1.
    pub dilation: usize,
    /// Groups of channels that do not see each other; default 1.
    pub groups: usize,
    /// What follows the convolution; default [`NormConfig::INSTANCE`].
    pub norm: Option<NormConfig>,
    /// What comes last; default none.
    pub activation: Activation,
}

impl Default for ConvNormActivationConfig {
    fn default() -> Self {
        Self {
            kernel: 3,
            stride: 1,
            dilation: 1,
            groups: 1,
            norm: Some(NormConfig::INSTANCE),
            activation: Activation::Identity,
        }
    }
}

impl ConvNormActivation {
    /// From `inputs` to `outputs` channels, with the convolution's parameters at `conv` and the
    /// normalisation's at `norm`.
    ///
    /// # Errors
    /// When the variable builders have no such parameters.
    pub fn new(
        inputs: usize,
        outputs: usize,
        cfg: &ConvNormActivationConfig,
        conv: VarBuilder<'_>,
        norm: VarBuilder<'_>,
    ) -> Result<Self> {
        let bias = if cfg.norm.is_none() {
            Bias::Learned
        } else {
            Bias::None
        };
        let placement = Conv2dConfig {
            stride: cfg.stride,
            padding: cfg.kernel.saturating_sub(1) / 2 * cfg.dilation,
            dilation: cfg.dilation,
            groups: cfg.groups,
        };
        Ok(Self {
            conv: Conv2d::new(inputs, outputs, cfg.kernel, placement, bias, conv)?,
            norm: cfg
                .norm
                .map(|cfg| Norm::new(outputs, cfg, norm))
                .transpose()?,
            activation: cfg.activation,
        })
    }

    /// `activation(norm(conv(xs)))`.
    ///
    /// # Shapes
    /// - `xs`: `[batch, inputs, height, width]`
    /// - returns: `[batch, outputs, height', width']`, the input's size divided by the stride,
    ///   rounded up, if the kernel is odd
    ///
    /// # Errors
    /// When the channels do not fit.
    pub fn forward(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        self.run(xs, None, mode)
    }

    /// `activation(norm(conv(xs)) + residual)`, in one pass after the convolution.
    ///
    /// # Shapes
    /// - `xs`: `[batch, inputs, height, width]`
    /// - `residual`, returns: `[batch, outputs, height', width']`
    ///
    /// # Errors
    /// When the channels or the residual do not fit.
    pub fn forward_residual(&self, xs: &Tensor, residual: &Tensor, mode: Mode) -> Result<Tensor> {
        self.run(xs, Some(residual), mode)
    }

    fn run(&self, xs: &Tensor, residual: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let ys = self.conv.forward(xs)?;
        match (&self.norm, residual) {
            (Some(norm), _) => norm.forward(
                &ys,
                Epilogue {
                    residual,
                    activation: self.activation,
                },
                mode,
            ),
            (None, Some(residual)) => self.activation.apply(&(ys + residual)?),
            (None, None) => self.activation.apply(&ys),
        }
    }

    /// The parameters of convolution and normalisation, in the type of `xs`.
    ///
    /// # Errors
    /// When Candle cannot convert them.
    pub(super) fn parameters(&self, xs: &Tensor) -> Result<(Tensor, Option<(Tensor, Tensor)>)> {
        let affine = match &self.norm {
            Some(norm) => norm.affine(xs)?,
            None => None,
        };
        Ok((self.conv.weight(xs)?, affine))
    }
}
