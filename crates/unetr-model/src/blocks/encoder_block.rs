use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Affine, Dense, Keep, Mode, encoder_block};

use super::{LayerScale, Mlp, SelfAttention};
use crate::VitConfig;
use crate::layers::{LayerNorm, Linear};

/// A pre-norm transformer block: `x + attention(norm1(x))`, then `x + mlp(norm2(x))`.
///
/// With [`VitConfig::layer_scale`] what is added is multiplied by [`LayerScale`] before.
///
/// Parameters: `norm1`, `attn`, `norm2`, `mlp`; with layer scale also `ls1` and `ls2`, as in timm.
///
/// Source: ViT (Dosovitskiy et al. 2020), equations 2 and 3, <https://arxiv.org/abs/2010.11929>
#[derive(Debug, Clone)]
pub struct EncoderBlock {
    norm1: LayerNorm,
    attn: SelfAttention,
    ls1: Option<LayerScale>,
    norm2: LayerNorm,
    mlp: Mlp,
    ls2: Option<LayerScale>,
    cfg: VitConfig,
    keep: Keep,
}

impl EncoderBlock {
    /// A block over tokens of `hidden_size` numbers.
    ///
    /// # Errors
    /// When the configuration is not valid or the variable builder has no such parameters.
    pub fn new(cfg: &VitConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (hidden, eps) = (cfg.hidden_size, cfg.layer_norm_eps);
        let layer_scale = |name| {
            let new = |value| LayerScale::new(hidden, value, vb.pp(name));
            cfg.layer_scale.map(new).transpose()
        };
        Ok(Self {
            norm1: LayerNorm::new(hidden, eps, vb.pp("norm1"))?,
            attn: SelfAttention::new(cfg, vb.pp("attn"))?,
            ls1: layer_scale("ls1")?,
            norm2: LayerNorm::new(hidden, eps, vb.pp("norm2"))?,
            mlp: Mlp::new(cfg, vb.pp("mlp"))?,
            ls2: layer_scale("ls2")?,
            cfg: cfg.clone(),
            keep: Keep::default(),
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
        if mode == Mode::Eval || (self.cfg.dropout == 0. && self.cfg.projection_dropout == 0.) {
            return self.forward_fused(xs);
        }
        let mixed = self.attn.forward(&self.norm1.forward(xs)?, mode)?;
        let xs = (xs + scale(self.ls1.as_ref(), mixed)?)?;
        let hidden = self.mlp.forward(&self.norm2.forward(&xs)?, mode)?;
        &xs + scale(self.ls2.as_ref(), hidden)?
    }

    /// Sets what the forward pass keeps for the backward pass; with dropout it keeps everything.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// Without dropout the whole block is one operation.
    fn forward_fused(&self, xs: &Tensor) -> Result<Tensor> {
        let (norm1, norm2) = (self.norm1.affine(xs)?, self.norm2.affine(xs)?);
        let qkv = self.attn.qkv.parameters(xs)?;
        let projection = scale_layer(self.ls1.as_ref(), &self.attn.out_proj)?.parameters(xs)?;
        let linear1 = self.mlp.linear1.parameters(xs)?;
        let linear2 = scale_layer(self.ls2.as_ref(), &self.mlp.linear2)?.parameters(xs)?;
        let block = unetr_ops::EncoderBlock {
            norm1: affine(&norm1),
            qkv: dense(&qkv),
            projection: dense(&projection),
            norm2: affine(&norm2),
            linear1: dense(&linear1),
            linear2: dense(&linear2),
            heads: self.cfg.heads,
            gelu: self.cfg.gelu,
            eps: self.cfg.layer_norm_eps,
            keep: self.keep,
        };
        encoder_block(xs, &block)
    }
}

fn scale(layer_scale: Option<&LayerScale>, xs: Tensor) -> Result<Tensor> {
    match layer_scale {
        Some(layer_scale) => layer_scale.forward(&xs),
        None => Ok(xs),
    }
}

fn scale_layer(layer_scale: Option<&LayerScale>, layer: &Linear) -> Result<Linear> {
    match layer_scale {
        Some(layer_scale) => layer_scale.after(layer),
        None => Ok(layer.clone()),
    }
}

fn affine((weight, bias): &(Tensor, Tensor)) -> Affine<'_> {
    Affine { weight, bias }
}

fn dense((weight, bias): &(Tensor, Option<Tensor>)) -> Dense<'_> {
    let bias = bias.as_ref();
    Dense { weight, bias }
}
