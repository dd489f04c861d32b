#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod absent_class;
mod average;
mod batch_counts;
mod boundary;
mod boundary_iou;
mod confusion_matrix;
mod error;
mod from_logits;
mod labels;
mod merged;
mod metric_set;
mod normalization;
mod scores;

pub use absent_class::AbsentClass;
pub use average::Average;
pub use batch_counts::BatchCounts;
pub use boundary_iou::BoundaryIou;
pub use confusion_matrix::ConfusionMatrix;
pub use error::{Error, Result};
pub use metric_set::MetricSet;
pub use normalization::Normalization;
