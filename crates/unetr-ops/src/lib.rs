#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod activation;
mod adam;
mod attention;
mod backward;
mod channel_norm;
mod class_weights;
mod confusion_counts;
mod conv2d;
mod conv_transpose2d;
mod cpu;
mod cross_entropy;
mod cross_entropy_and_soft_jaccard;
#[cfg(feature = "cuda")]
mod cuda;
mod dropout;
mod encoder_block;
mod error;
mod focal;
mod global_norm;
mod labels;
mod layer_norm;
mod linear;
mod lovasz;
mod many;
mod matrix_transpose;
mod memory;
mod mode;
mod moving_average;
mod no_grad;
mod normalize_images;
mod orthogonal;
mod pixel_loss;
mod pixels;
mod precision;
mod predicted_classes;
mod residual_block;
mod scale_rows;
mod scope;
mod soft_counts;
mod soft_jaccard;
mod softmax;
mod tokens;
mod upload;

pub use activation::{Activation, Gelu, gelu, leaky_relu, relu};
pub use adam::{AdamStep, AdamUpdate, adam_step, adam_steps};
pub use attention::attention;
pub use backward::{backward, backward_with};
pub use channel_norm::{
    Affine, BatchStatistics, Epilogue, batch_norm_eval, batch_norm_train, group_norm, instance_norm,
};
pub use confusion_counts::{confusion_counts, image_confusion_counts};
pub use conv_transpose2d::{ConvTranspose2dConfig, conv_transpose2d};
pub use conv2d::{Conv2dConfig, conv2d};
pub use cpu::release_buffers;
pub use cross_entropy::{CrossEntropyConfig, cross_entropy};
pub use cross_entropy_and_soft_jaccard::cross_entropy_and_soft_jaccard;
pub use dropout::Dropout;
pub use encoder_block::{Dense, EncoderBlock, Keep, encoder_block};
pub use error::OpError;
pub use focal::{FocalConfig, focal};
pub use global_norm::global_norm;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use lovasz::{ClassMean, LovaszConfig, Region, lovasz_softmax};
use matrix_transpose::matrix_transpose;
pub use memory::{PeakMemory, keep_freed_memory, peak_memory};
pub use mode::Mode;
pub use moving_average::moving_averages;
pub use no_grad::no_grad;
pub use normalize_images::normalize_images;
pub use orthogonal::orthogonal;
pub use precision::{Precision, widened, with_precision};
pub use predicted_classes::predicted_classes;
pub use residual_block::{NormedConv, ResidualBlock, residual_block};
pub use scale_rows::scale_rows;
pub use soft_counts::soft_counts;
pub use soft_jaccard::{JaccardReduction, soft_jaccard};
pub use softmax::softmax_last_dim;
pub use tokens::{map_to_tokens, tokens_to_map};
pub use upload::upload;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod check;
