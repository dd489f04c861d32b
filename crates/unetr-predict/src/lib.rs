#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod config;
mod error;
mod output;
mod photos;
mod pretrained;
mod room;
mod scores;
mod segmentation;
mod segmenter;
mod stream;

pub use config::{Fit, Flips, Probabilities, SegmenterConfig};
pub use error::{Error, Result};
pub use output::{
    CocoResult, Contour, OutputFolder, OutputKind, PhotoSummary, coco_results, contours,
    draw_overlay, write_labels_png,
};
pub use photos::find_photos;
pub use pretrained::{ModelCard, save_pretrained};
pub use scores::{Blend, SlidingWindow, sliding_window};
pub use segmentation::{ClassArea, ConfidenceMap, Segmentation};
pub use segmenter::Segmenter;
pub use stream::StreamConfig;
