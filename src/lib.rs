#![cfg_attr(docsrs, feature(doc_cfg))]
// Where the README's links lead from here: the first definition of a link counts.
//! [finetuned]: https://raw.githubusercontent.com/unetr-rs/unetr/main/assets/finetuned.png
//! [recipes]: https://raw.githubusercontent.com/unetr-rs/unetr/main/assets/recipes.png
//! [finetuning]: https://raw.githubusercontent.com/unetr-rs/unetr/main/assets/finetuning_curves.png
//! [data]: guide::data
//! [model]: guide::model
//! [training]: guide::training
//! [checkpoints]: guide::checkpoints
//! [prediction]: guide::prediction
//! [GPUs]: guide::gpu
//! [performance]: guide::performance
//! [numbers]: guide::numbers
//! [from the tutorial]: guide::from_the_tutorial
//! [from PyTorch and MONAI]: guide::from_pytorch_and_monai
//! [extending]: guide::extending
//! [CONTRIBUTING]: https://github.com/unetr-rs/unetr/blob/main/CONTRIBUTING.md
//! [SECURITY]: https://github.com/unetr-rs/unetr/blob/main/SECURITY.md
//!
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
