//! The network as an ONNX graph, for the runtimes that read this format: one file with the operations
//! of an evaluation and the parameters, see [`Unetr::save_onnx`](crate::Unetr::save_onnx).
//!
//! The graph keeps to opset 17 of the standard operators. It is the first with `LayerNormalization`, and
//! what came later is written out: GELU (opset 20) as the formula that runtimes recognise and fuse, group
//! normalisation (opset 21) as an instance normalisation of runs of channels. All sizes but the batch's are
//! constants, so that no shape is computed at run time.
//!
//! Source: <https://onnx.ai/onnx/operators/>

mod config;
mod decoder;
mod graph;
mod layers;
mod network;
mod proto;
mod save;
mod scope;
mod vit;

pub use config::{OnnxConfig, OnnxInput, OnnxOutput};
