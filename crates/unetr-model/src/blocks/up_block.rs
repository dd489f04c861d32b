use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::Mode;

use super::UnetBlock;
use crate::DecoderConfig;
use crate::layers::{Bias, ConvTranspose2d};

/// One step of the decoder: doubles the resolution, appends the skip connection's channels, and
/// lets a block mix them.
///
/// Parameters: `transp_conv.conv`, `conv_block`.
///
/// Source: MONAI's `UnetrUpBlock`
#[derive(Debug, Clone)]
pub struct UpBlock {
    transposed: ConvTranspose2d,
    block: UnetBlock,
}

impl UpBlock {
    /// A block from `inputs` channels, and a skip connection of `outputs`, to `outputs` channels.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(
        inputs: usize,
        outputs: usize,
        cfg: &DecoderConfig,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let bias = Bias::from_config(cfg.transposed_bias);
        Ok(Self {
            transposed: ConvTranspose2d::double(inputs, outputs, bias, vb.pp("transp_conv.conv"))?,
            block: UnetBlock::new(2 * outputs, outputs, cfg, vb.pp("conv_block"))?,
        })
    }

    /// Applies the block.
    ///
    /// # Shapes
    /// - `xs`: `[batch, inputs, height, width]`
    /// - `skip`: `[batch, outputs, 2·height, 2·width]`
    /// - returns: `[batch, outputs, 2·height, 2·width]`
    ///
    /// # Errors
    /// When the channels or sizes do not fit.
    pub fn forward(&self, xs: &Tensor, skip: &Tensor, mode: Mode) -> Result<Tensor> {
        let xs = self.transposed.forward(xs)?;
        self.block.forward_concat(&[&xs, skip], mode)
    }
}
