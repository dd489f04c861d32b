use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::Mode;

use super::{Mlp, SelfAttention};
use crate::VitConfig;
use crate::layers::LayerNorm;

/// A pre-norm transformer block: `x + attention(norm1(x))`, then `x + mlp(norm2(x))`.
///
/// Parameters: `norm1`, `attn`, `norm2`, `mlp`.
///
/// Source: ViT (Dosovitskiy et al. 2020), equations 2 and 3, <https://arxiv.org/abs/2010.11929>
#[derive(Debug, Clone)]
pub struct EncoderBlock {
    norm1: LayerNorm,
    attn: SelfAttention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl EncoderBlock {
    /// A block over tokens of `hidden_size` numbers.
    ///
    /// # Errors
    /// When the configuration is not valid or the variable builder has no such parameters.
    pub fn new(cfg: &VitConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (hidden, eps) = (cfg.hidden_size, cfg.layer_norm_eps);
        Ok(Self {
            norm1: LayerNorm::new(hidden, eps, vb.pp("norm1"))?,
            attn: SelfAttention::new(cfg, vb.pp("attn"))?,
            norm2: LayerNorm::new(hidden, eps, vb.pp("norm2"))?,
            mlp: Mlp::new(cfg, vb.pp("mlp"))?,
        })
    }

    /// Applies the block.
    ///
    /// # Shapes
    /// - `xs`: `[batch, tokens, hidden]`
    /// - returns: the same shape
    ///
    /// # Errors
    /// When the last dimension is not the hidden size.
    pub fn forward(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        let xs = (xs + self.attn.forward(&self.norm1.forward(xs)?, mode)?)?;
        &xs + self.mlp.forward(&self.norm2.forward(&xs)?, mode)?
    }
}
