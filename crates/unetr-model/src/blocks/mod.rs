//! The blocks UNETR is made of, one a file, for other networks to use as well.

mod basic_block;
mod concat;
mod conv_norm_activation;
mod encoder_block;
mod layer_scale;
mod mlp;
mod patch_embedding;
mod pr_up_block;
mod res_block;
mod self_attention;
mod stochastic_depth;
mod unet_block;
mod up_block;
mod vit;

pub use basic_block::BasicBlock;
pub use conv_norm_activation::{ConvNormActivation, ConvNormActivationConfig};
pub use encoder_block::EncoderBlock;
pub use layer_scale::LayerScale;
pub use mlp::Mlp;
pub use patch_embedding::PatchEmbedding;
pub use pr_up_block::PrUpBlock;
pub use res_block::ResBlock;
pub use self_attention::SelfAttention;
pub use stochastic_depth::StochasticDepth;
pub use unet_block::UnetBlock;
pub use up_block::UpBlock;
pub use vit::{Vit, VitOutput};
