use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Keep, Mode};

use super::{EncoderBlock, PatchEmbedding, StochasticDepth};
use crate::VitConfig;
use crate::layers::LayerNorm;

/// A Vision Transformer without class token, which returns what every block made of the image.
///
/// In training, samples skip blocks with the probability of [`VitConfig::skip_rate`].
///
/// Parameters: `patch_embedding`, `blocks.0` …, `norm`.
///
/// Source: Dosovitskiy et al. 2020, <https://arxiv.org/abs/2010.11929>
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_model::{Mode, Parameters, Vit, VitConfig};
///
/// let cfg = VitConfig {
///     image_size: [32, 48],
///     patch_size: 8,
///     hidden_size: 12,
///     mlp_size: 24,
///     heads: 3,
///     layers: 2,
///     ..VitConfig::default()
/// };
/// let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
/// let vit = Vit::new(&cfg, parameters.var_builder())?;
/// let images = Tensor::zeros((1, 3, 32, 48), DType::F32, &Device::Cpu)?;
/// let output = vit.forward(&images, Mode::Eval)?;
/// assert_eq!(output.normed.dims(), [1, 24, 12]);
/// assert_eq!(output.hidden_states.len(), 2);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Vit {
    patch_embedding: PatchEmbedding,
    blocks: Vec<(EncoderBlock, StochasticDepth)>,
    norm: LayerNorm,
}

/// What a [`Vit`] returns.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VitOutput {
    /// `[batch, tokens, hidden]`: the last block's output, normalised.
    pub normed: Tensor,
    /// `[batch, tokens, hidden]` each: every block's output, not normalised.
    pub hidden_states: Vec<Tensor>,
}

impl Vit {
    /// A transformer for images of exactly the configured size.
    ///
    /// # Errors
    /// When the configuration is not valid or the variable builder has no such parameters.
    pub fn new(cfg: &VitConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let patch_embedding = PatchEmbedding::new(cfg, vb.pp("patch_embedding"))?;
        let blocks = (0..cfg.layers)
            .map(|i| {
                let vb = vb.pp(format!("blocks.{i}"));
                let depth = StochasticDepth::new(cfg.skip_rate(i), &vb.pp("drop_path").prefix())?;
                Ok((EncoderBlock::new(cfg, vb)?, depth))
            })
            .collect::<Result<_>>()?;
        let norm = LayerNorm::new(cfg.hidden_size, cfg.layer_norm_eps, vb.pp("norm"))?;
        Ok(Self {
            patch_embedding,
            blocks,
            norm,
        })
    }

    /// Encodes images.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, height, width]`
    /// - returns: `[batch, tokens, hidden]` each
    ///
    /// # Errors
    /// When the images are not of the configured size.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<VitOutput> {
        let mut xs = self.patch_embedding.forward(images, mode)?;
        let mut hidden_states = Vec::with_capacity(self.blocks.len());
        for (block, depth) in &self.blocks {
            xs = depth.apply(&xs, mode, |xs| block.forward(xs, mode))?;
            hidden_states.push(xs.clone());
        }
        Ok(VitOutput {
            normed: self.norm.forward(&xs)?,
            hidden_states,
        })
    }

    /// Sets what the blocks keep for the backward pass, see [`EncoderBlock::set_keep`].
    pub fn set_keep(&mut self, keep: Keep) {
        for (block, _) in &mut self.blocks {
            block.set_keep(keep);
        }
    }
}
