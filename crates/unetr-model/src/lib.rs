#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "a `VarBuilder` is a handle that Candle's constructors take by value"
)]

mod blocks;
mod config;
mod encoder_weights;
mod error;
mod files;
pub mod flax;
pub mod hub;
mod layers;
mod model;
pub mod monai;
#[cfg(feature = "onnx")]
mod onnx;
mod parameters;
mod pretrained;
mod unetr;

pub use blocks::{
    BasicBlock, ConvNormActivation, ConvNormActivationConfig, EncoderBlock, LayerScale, Mlp,
    PatchEmbedding, PrUpBlock, ResBlock, SelfAttention, StochasticDepth, UnetBlock, UpBlock, Vit,
    VitOutput,
};
pub use config::{
    BlockKind, DecoderConfig, NormConfig, PatchProjection, RunningVariance, UnetrConfig,
    Upsampling, VitConfig,
};
pub use encoder_weights::{EncoderReport, EncoderWeights, PixelStatistics};
pub use error::{Error, Result};
// For the crates that write files beside those of this one.
#[doc(hidden)]
pub use files::write_whole;
pub use layers::{Bias, Conv2d, ConvTranspose2d, LayerNorm, Linear, Norm};
pub use model::{SegmentationModel, TrainingOutput};
#[cfg(feature = "onnx")]
pub use onnx::{OnnxConfig, OnnxInput, OnnxOutput};
pub use parameters::{LoadReport, Parameters, ShapeMismatch, init};
pub use unetr::Unetr;
pub use unetr_ops::{
    Activation, Conv2dConfig, ConvTranspose2dConfig, Epilogue, Gelu, Keep, Mode, Precision,
    no_grad, with_precision,
};
// In what this crate takes and gives: versions of one's own would be other types.
pub use {candle_core, candle_nn};
