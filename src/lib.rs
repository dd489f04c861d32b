#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

#[cfg(any(doc, doctest))]
pub mod guide;

pub use unetr_data::image;
pub use unetr_model::{candle_core, candle_nn};

pub use unetr_data as data;
pub use unetr_metrics as metrics;
pub use unetr_model as model;
pub use unetr_ops as ops;
pub use unetr_predict as predict;
pub use unetr_train as train;
