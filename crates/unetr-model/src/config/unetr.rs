use serde::{Deserialize, Serialize};
use unetr_ops::Gelu;

use super::{PatchProjection, VitConfig};

/// The normalisation after a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum NormConfig {
    /// Every channel of every image by its own statistics.
    Instance {
        /// Whether scale and shift are learned.
        affine: bool,
        /// Added to the variance.
        eps: f64,
    },
    /// Runs of channels of every image share their statistics.
    Group {
        /// Number of runs, a divisor of the channels.
        groups: usize,
        /// Added to the variance.
        eps: f64,
    },
    /// Every channel by the statistics of the batch in training, by running ones in evaluation.
    Batch {
        /// Added to the variance.
        eps: f64,
        /// Weight of the new value in the running statistics, as in PyTorch: 0.01 is what Flax
        /// calls 0.99.
        momentum: f64,
        /// Which variance the running one is made of.
        running_variance: RunningVariance,
    },
}

impl NormConfig {
    /// The tutorial's: affine, epsilon 1e-6.
    pub const INSTANCE: Self = Self::Instance {
        affine: true,
        eps: 1e-6,
    };
    /// Flax's default batch normalisation.
    pub const BATCH_FLAX: Self = Self::Batch {
        eps: 1e-5,
        momentum: 0.01,
        running_variance: RunningVariance::Biased,
    };
    /// PyTorch's, and so MONAI's, default batch normalisation.
    pub const BATCH_PYTORCH: Self = Self::Batch {
        eps: 1e-5,
        momentum: 0.1,
        running_variance: RunningVariance::Unbiased,
    };
}

/// Which variance of the batch goes into the running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunningVariance {
    /// Divided by the number of values, as in Flax.
    Biased,
    /// Divided by that number less one, as in PyTorch.
    Unbiased,
}

/// The pair of convolutions that the network is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// With a shortcut: [`ResBlock`](crate::ResBlock), MONAI's `res_block=True`.
    #[default]
    Residual,
    /// Without: [`BasicBlock`](crate::BasicBlock).
    Basic,
}

/// What brings a hidden state of the transformer to its resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Transposed convolutions, each but the first followed by a block: MONAI's `conv_block=True`.
    #[default]
    WithBlocks,
    /// Transposed convolutions alone.
    TransposedOnly,
}

/// A UNETR: a Vision Transformer as encoder, a convolutional decoder.
///
/// Read from JSON, an absent field has the value of [`UnetrConfig::tutorial`] and an unknown one is
/// an error.
///
/// # Examples
/// ```
/// use unetr_model::UnetrConfig;
///
/// let cfg = UnetrConfig { classes: 2, ..UnetrConfig::small() };
/// cfg.validate()?;
/// let error = cfg.with_image_size([250, 256]).validate().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "image size 250 is not a multiple of the patch size 16; pad or resize to 256"
/// );
/// # Ok::<(), unetr_model::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetrConfig {
    /// Height and width of the images, multiples of the patch size; default `[256, 256]`.
    pub image_size: [usize; 2],
    /// Channels of the images; default 3.
    pub in_channels: usize,
    /// Classes of the segmentation, channels of the logits; default 3.
    pub classes: usize,
    /// Channels of the decoder at full resolution, doubled with every halving; default 16.
    pub feature_size: usize,
    /// Width of a token, a multiple of `heads`; default 768.
    pub hidden_size: usize,
    /// Width of the layer inside an MLP; default 3072.
    pub mlp_size: usize,
    /// Attention heads; default 4, as in the tutorial's run.
    pub heads: usize,
    /// Encoder blocks, 4 at least; default 12. See [`UnetrConfig::taps`].
    pub layers: usize,
    /// Height and width of a patch. Only 16 is possible, because the decoder doubles the
    /// resolution four times.
    pub patch_size: usize,
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
    /// Whether the transformer learns from heads of its own too, which tell the classes of each patch from
    /// what the decoder takes of it; only training uses them; default false. See
    /// [`SegmentationModel::forward_training`](crate::SegmentationModel::forward_training).
    pub auxiliary_heads: bool,
    /// Formula of the GELU; default tanh, as in Flax.
    pub gelu: Gelu,
    /// Epsilon of the layer normalisations; default 1e-6, as in Flax.
    pub layer_norm_eps: f64,
    /// Whether queries, keys and values have a bias; default true.
    pub qkv_bias: bool,
    /// How patches become tokens; default a convolution.
    pub patch_projection: PatchProjection,
    /// Normalisation after the convolutions; default [`NormConfig::INSTANCE`].
    pub norm: NormConfig,
    /// Factor of the leaky ReLU for negative numbers, above 0; default 0.01.
    pub leaky_slope: f64,
    /// Whether transposed convolutions have a bias; default true. MONAI's have none.
    pub transposed_bias: bool,
    /// Blocks of the decoder; default residual.
    pub block: BlockKind,
    /// How hidden states are brought to their resolution; default with blocks.
    pub upsampling: Upsampling,
}

impl Default for UnetrConfig {
    fn default() -> Self {
        Self::tutorial()
    }
}

impl UnetrConfig {
    /// The Vision Transformer inside.
    pub fn vit(&self) -> VitConfig {
        VitConfig {
            image_size: self.image_size,
            patch_size: self.patch_size,
            in_channels: self.in_channels,
            hidden_size: self.hidden_size,
            mlp_size: self.mlp_size,
            heads: self.heads,
            layers: self.layers,
            dropout: self.dropout,
            projection_dropout: self.projection_dropout,
            stochastic_depth: self.stochastic_depth,
            layer_scale: self.layer_scale,
            gelu: self.gelu,
            layer_norm_eps: self.layer_norm_eps,
            qkv_bias: self.qkv_bias,
            patch_projection: self.patch_projection,
        }
    }

    /// What the blocks of the decoder share.
    pub fn decoder(&self) -> DecoderConfig {
        DecoderConfig {
            norm: self.norm,
            leaky_slope: self.leaky_slope,
            transposed_bias: self.transposed_bias,
            block: self.block,
            upsampling: self.upsampling,
        }
    }

    /// The encoder blocks, counted from 0, whose outputs the decoder takes besides the last:
    /// `layers/4`, `layers/2` and `3·layers/4`, which is 3, 6 and 9 for the paper's 12 layers.
    pub fn taps(&self) -> [usize; 3] {
        [self.layers / 4, self.layers / 2, 3 * self.layers / 4]
    }
}

/// What the convolutional blocks of a network share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Normalisation after the convolutions.
    pub norm: NormConfig,
    /// Factor of the leaky ReLU for negative numbers.
    pub leaky_slope: f64,
    /// Whether transposed convolutions have a bias.
    pub transposed_bias: bool,
    /// Residual blocks or basic ones.
    pub block: BlockKind,
    /// How hidden states are brought to their resolution.
    pub upsampling: Upsampling,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        UnetrConfig::tutorial().decoder()
    }
}
