//! Tests of the model against golden values of Flax and MONAI, and of its own promises.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod blocks;
mod config;
mod encoder_weights;
mod finite_differences;
mod fixture;
mod flax;
mod gradients;
mod hub;
#[cfg(feature = "hub")]
mod hub_server;
mod initialisers;
mod layer_scale;
mod layers;
mod monai;
#[cfg(feature = "onnx")]
mod onnx;
mod parameters;
mod pretrained;
mod stochastic_depth;
mod threads;
mod unetr_flax;
