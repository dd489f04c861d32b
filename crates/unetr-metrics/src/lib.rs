#![doc = include_str!("../README.md")]

mod absent_class;
mod average;
mod confusion_matrix;
mod error;
mod labels;
mod metric_set;
mod normalization;
mod scores;

pub use absent_class::AbsentClass;
pub use average::Average;
pub use confusion_matrix::ConfusionMatrix;
pub use error::{Error, Result};
pub use metric_set::MetricSet;
pub use normalization::Normalization;
