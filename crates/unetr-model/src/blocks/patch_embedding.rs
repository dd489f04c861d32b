use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Conv2dConfig, Dropout, Mode, map_to_tokens};

use crate::layers::{Bias, Conv2d, Linear};
use crate::{PatchProjection, VitConfig, init};

/// Images to tokens: a linear map of each patch, plus a learned embedding of its position.
///
/// Parameters: `patch_embeddings` (for [`PatchProjection::Perceptron`] `patch_embeddings.1`, as in
/// MONAI) and `position_embeddings` `[1, tokens, hidden]`, normal with deviation 0.02 cut at 0.04.
///
/// Source: ViT (Dosovitskiy et al. 2020), section 3.1, <https://arxiv.org/abs/2010.11929>
#[derive(Debug, Clone)]
pub struct PatchEmbedding {
    projection: Projection,
    position_embeddings: Tensor,
    dropout: Dropout,
}

#[derive(Debug, Clone)]
enum Projection {
    Convolution(Conv2d),
    Perceptron { linear: Linear, patch: usize },
}

impl PatchEmbedding {
    /// An embedding of images of exactly the configured size.
    ///
    /// # Errors
    /// When the configuration is not valid or the variable builder has no such parameters.
    pub fn new(cfg: &VitConfig, vb: VarBuilder<'_>) -> Result<Self> {
        cfg.validate()?;
        let (patch, hidden) = (cfg.patch_size, cfg.hidden_size);
        let projection = match cfg.patch_projection {
            PatchProjection::Convolution => {
                let stride = Conv2dConfig {
                    stride: patch,
                    ..Conv2dConfig::default()
                };
                let vb = vb.pp("patch_embeddings");
                let conv = Conv2d::new(cfg.in_channels, hidden, patch, stride, Bias::Learned, vb)?;
                Projection::Convolution(conv)
            }
            PatchProjection::Perceptron => {
                let inputs = patch * patch * cfg.in_channels;
                let linear =
                    Linear::new(inputs, hidden, Bias::Learned, vb.pp("patch_embeddings.1"))?;
                Projection::Perceptron { linear, patch }
            }
        };
        let position_embeddings = vb.get_with_hints(
            (1, cfg.tokens(), hidden),
            "position_embeddings",
            init::truncated_normal(0.02),
        )?;
        let dropout = Dropout::new(cfg.dropout, &vb.pp("dropout").prefix())?;
        Ok(Self {
            projection,
            position_embeddings,
            dropout,
        })
    }

    /// Embeds images; tokens are in row-major order.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, height, width]`
    /// - returns: `[batch, tokens, hidden]`
    ///
    /// # Errors
    /// When the images are not of the configured size.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let tokens = match &self.projection {
            Projection::Convolution(conv) => map_to_tokens(&conv.forward(images)?)?,
            Projection::Perceptron { linear, patch } => {
                linear.forward(&patches(images, *patch)?)?
            }
        };
        let positions = self.position_embeddings.to_dtype(tokens.dtype())?;
        self.dropout.apply(&tokens.broadcast_add(&positions)?, mode)
    }
}

/// `[batch, tokens, patch·patch·channels]`: the pixels of each patch, channels last.
fn patches(images: &Tensor, patch: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = images.dims4()?;
    let (rows, columns) = (height / patch, width / patch);
    images
        .reshape(&[batch, channels, rows, patch, columns, patch])?
        .permute([0, 2, 4, 3, 5, 1].as_slice())?
        .reshape((batch, rows * columns, patch * patch * channels))
}
