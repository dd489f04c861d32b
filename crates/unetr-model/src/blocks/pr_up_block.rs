use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::Mode;

use super::UnetBlock;
use crate::layers::{Bias, ConvTranspose2d};
use crate::{DecoderConfig, Upsampling};

/// Projection and upsampling of a hidden state: a transposed convolution, then `stages` times
/// another one and, with [`Upsampling::WithBlocks`], a block. Each doubles the resolution.
///
/// Parameters: `transp_conv_init.conv`, then `blocks.0.0.conv` and `blocks.0.1` … or, without
/// blocks, `blocks.0.conv` ….
///
/// Source: MONAI's `UnetrPrUpBlock`
#[derive(Debug, Clone)]
pub struct PrUpBlock {
    initial: ConvTranspose2d,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone)]
struct Stage {
    transposed: ConvTranspose2d,
    block: Option<UnetBlock>,
}

impl PrUpBlock {
    /// A block from `inputs` to `outputs` channels that multiplies the resolution by
    /// `2^(stages + 1)`.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(
        inputs: usize,
        outputs: usize,
        stages: usize,
        cfg: &DecoderConfig,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let bias = Bias::from_config(cfg.transposed_bias);
        let initial =
            ConvTranspose2d::double(inputs, outputs, bias, vb.pp("transp_conv_init.conv"))?;
        let stage = |i: usize| {
            let vb = vb.pp(format!("blocks.{i}"));
            let transposed = |vb| ConvTranspose2d::double(outputs, outputs, bias, vb);
            match cfg.upsampling {
                Upsampling::WithBlocks => Ok(Stage {
                    transposed: transposed(vb.pp("0.conv"))?,
                    block: Some(UnetBlock::new(outputs, outputs, cfg, vb.pp("1"))?),
                }),
                Upsampling::TransposedOnly => Ok(Stage {
                    transposed: transposed(vb.pp("conv"))?,
                    block: None,
                }),
            }
        };
        Ok(Self {
            initial,
            stages: (0..stages).map(stage).collect::<Result<_>>()?,
        })
    }

    /// Applies the block.
    ///
    /// # Shapes
    /// - `xs`: `[batch, inputs, height, width]`
    /// - returns: `[batch, outputs, height·2^(stages + 1), width·2^(stages + 1)]`
    ///
    /// # Errors
    /// When the channels do not fit.
    pub fn forward(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut xs = self.initial.forward(xs)?;
        for Stage { transposed, block } in &self.stages {
            xs = transposed.forward(&xs)?;
            if let Some(block) = block {
                xs = block.forward(&xs, mode)?;
            }
        }
        Ok(xs)
    }
}
