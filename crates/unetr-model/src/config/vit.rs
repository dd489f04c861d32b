use serde::{Deserialize, Serialize};
use unetr_ops::Gelu;

/// How a patch becomes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatchProjection {
    /// A convolution whose kernel and stride are the patch size.
    #[default]
    Convolution,
    /// A linear layer on the patch's pixels in the order row, column, channel: MONAI's
    /// `perceptron`. The same function; the weights are laid out differently.
    Perceptron,
}

/// A Vision Transformer.
///
/// The default is the one of [`UnetrConfig::tutorial`](crate::UnetrConfig::tutorial).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VitConfig {
    /// Height and width of the images, multiples of the patch size; default `[256, 256]`.
    pub image_size: [usize; 2],
    /// Height and width of a patch; default 16.
    pub patch_size: usize,
    /// Channels of the images; default 3.
    pub in_channels: usize,
    /// Width of a token, a multiple of `heads`; default 768.
    pub hidden_size: usize,
    /// Width of the layer inside an MLP; default 3072.
    pub mlp_size: usize,
    /// Attention heads; default 4.
    pub heads: usize,
    /// Encoder blocks; default 12.
    pub layers: usize,
    /// Dropout rate of the embeddings, the attention weights and the MLPs; default 0.
    pub dropout: f64,
    /// Dropout rate after the output projection of the attention; default 0. MONAI takes its one
    /// dropout rate here as well, Flax drops nothing.
    pub projection_dropout: f64,
    /// Probability of a sample to skip the last encoder block in training; default 0. It rises
    /// linearly from 0 for the first block on, see [`VitConfig::skip_rate`].
    pub stochastic_depth: f64,
    /// What the learned factors of the channels that attention and MLP add start at; default none,
    /// as if they were 1. CaiT takes 0.1 up to 18 blocks, 1e-5 for 24 and 1e-6 for more. See
    /// [`LayerScale`](crate::LayerScale).
    pub layer_scale: Option<f64>,
    /// Formula of the GELU; default tanh, as in Flax.
    pub gelu: Gelu,
    /// Epsilon of the layer normalisations; default 1e-6, as in Flax.
    pub layer_norm_eps: f64,
    /// Whether queries, keys and values have a bias; default true.
    pub qkv_bias: bool,
    /// How patches become tokens; default a convolution.
    pub patch_projection: PatchProjection,
}

impl Default for VitConfig {
    fn default() -> Self {
        crate::UnetrConfig::tutorial().vit()
    }
}

impl VitConfig {
    /// Rows and columns of patches.
    pub fn grid(&self) -> [usize; 2] {
        self.image_size.map(|size| size / self.patch_size.max(1))
    }

    /// Number of patches.
    pub fn tokens(&self) -> usize {
        let [rows, columns] = self.grid();
        rows * columns
    }

    /// The probability of a sample to skip an encoder block, counted from 0: `stochastic_depth` for
    /// the last one, less in proportion for those before, 0 for the first, as in timm.
    ///
    /// Source: the linear decay of Huang et al. 2016, section 3, <https://arxiv.org/abs/1603.09382>
    pub fn skip_rate(&self, block: usize) -> f64 {
        let last = self.layers.saturating_sub(1).max(1);
        self.stochastic_depth * block as f64 / last as f64
    }
}
