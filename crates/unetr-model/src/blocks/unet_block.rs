use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::Mode;

use super::concat::concat;
use super::{BasicBlock, ResBlock};
use crate::{BlockKind, DecoderConfig};

/// The block a [`DecoderConfig`] asks for, at stride 1.
///
/// Parameters: those of [`ResBlock`] or [`BasicBlock`].
#[derive(Debug, Clone)]
pub enum UnetBlock {
    /// With a shortcut.
    Residual(ResBlock),
    /// Without.
    Basic(BasicBlock),
}

impl UnetBlock {
    /// A block from `inputs` to `outputs` channels.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(
        inputs: usize,
        outputs: usize,
        cfg: &DecoderConfig,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        match cfg.block {
            BlockKind::Residual => ResBlock::new(inputs, outputs, 1, cfg, vb).map(Self::Residual),
            BlockKind::Basic => BasicBlock::new(inputs, outputs, 1, cfg, vb).map(Self::Basic),
        }
    }

    /// Applies the block.
    ///
    /// # Shapes
    /// - `xs`: `[batch, inputs, height, width]`
    /// - returns: `[batch, outputs, height, width]`
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
    /// - returns: `[batch, outputs, height, width]`
    ///
    /// # Errors
    /// When the channels or sizes do not fit.
    pub fn forward_concat(&self, inputs: &[&Tensor], mode: Mode) -> Result<Tensor> {
        match self {
            Self::Residual(block) => block.forward_concat(inputs, mode),
            Self::Basic(block) => block.forward(&concat(inputs)?, mode),
        }
    }
}
