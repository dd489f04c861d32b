use unetr_ops::Gelu;

use super::{BlockKind, NormConfig, PatchProjection, UnetrConfig, Upsampling};

impl UnetrConfig {
    /// The network of the Flax tutorial on Oxford Pets, as it was trained there: 256×256 RGB images,
    /// 3 classes, ViT-B with 4 heads; 87,739,235 parameters.
    ///
    /// Source: <https://flax.readthedocs.io/en/latest/examples/image_segmentation.html>
    pub fn tutorial() -> Self {
        Self {
            image_size: [256, 256],
            in_channels: 3,
            classes: 3,
            feature_size: 16,
            hidden_size: 768,
            mlp_size: 3072,
            heads: 4,
            layers: 12,
            patch_size: 16,
            dropout: 0.,
            projection_dropout: 0.,
            stochastic_depth: 0.,
            layer_scale: None,
            auxiliary_heads: false,
            gelu: Gelu::Tanh,
            layer_norm_eps: 1e-6,
            qkv_bias: true,
            patch_projection: PatchProjection::Convolution,
            norm: NormConfig::INSTANCE,
            leaky_slope: 0.01,
            transposed_bias: true,
            block: BlockKind::Residual,
            upsampling: Upsampling::WithBlocks,
        }
    }

    /// The network that `monai.networks.nets.UNETR(in_channels, classes, image_size,
    /// spatial_dims=2)` builds (MONAI 1.6): ViT-B with 12 heads, exact GELU, instance normalisation
    /// without parameters, no bias in the transposed convolutions and the queries, keys and values.
    ///
    /// Source: <https://docs.monai.io/en/stable/networks.html#unetr>
    pub fn monai(in_channels: usize, classes: usize, image_size: [usize; 2]) -> Self {
        Self {
            image_size,
            in_channels,
            classes,
            heads: 12,
            gelu: Gelu::Erf,
            layer_norm_eps: 1e-5,
            qkv_bias: false,
            norm: NormConfig::Instance {
                affine: false,
                eps: 1e-5,
            },
            transposed_bias: false,
            ..Self::tutorial()
        }
    }

    /// A network that computes in milliseconds, for tests and examples: 64×64 images, 4 layers.
    pub fn tiny() -> Self {
        Self {
            image_size: [64, 64],
            feature_size: 4,
            hidden_size: 32,
            mlp_size: 64,
            heads: 4,
            layers: 4,
            ..Self::tutorial()
        }
    }

    /// A network that trains on a CPU: 128×128 images, the width of ViT-Ti (Touvron et al. 2021,
    /// <https://arxiv.org/abs/2012.12877>, table 1) with 4 heads.
    pub fn small() -> Self {
        Self {
            image_size: [128, 128],
            hidden_size: 192,
            mlp_size: 768,
            ..Self::tutorial()
        }
    }

    /// ViT-B/16 with its 12 heads on square images of `size` pixels: the paper's network in two
    /// dimensions.
    ///
    /// Source: UNETR (Hatamizadeh et al. 2021), section 4, <https://arxiv.org/abs/2103.10504>
    pub fn vit_b16(size: usize) -> Self {
        Self {
            image_size: [size, size],
            heads: 12,
            ..Self::tutorial()
        }
    }

    /// The same network for images of another height and width.
    #[must_use]
    pub fn with_image_size(self, [height, width]: [usize; 2]) -> Self {
        Self {
            image_size: [height, width],
            ..self
        }
    }
}
