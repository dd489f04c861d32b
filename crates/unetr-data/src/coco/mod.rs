//! Data sets with COCO's annotations of instances, read for semantic segmentation.
//!
//! A JSON file has `images`, `categories` and `annotations`, each of which says that a region of an
//! image belongs to a category (<https://cocodataset.org/#format-data>). A mask begins as background,
//! class 0, and the regions are painted onto it in the file's order. A region is polygons, run
//! lengths, or run lengths that are packed into text.
//!
//! T.-Y. Lin, M. Maire, S. Belongie, J. Hays, P. Perona, D. Ramanan, P. Dollár, C. L. Zitnick,
//! "Microsoft COCO: Common Objects in Context", ECCV 2014, <https://arxiv.org/abs/1405.0312>.

mod annotations;
mod config;
mod dataset;
mod polygon;
mod rle;

pub use config::{CocoConfig, Crowds};
pub use dataset::CocoDataset;
pub use rle::RunLengths;
