//! What is written about a photo.

mod coco;
mod contours;
mod folder;
mod labels_png;
mod overlay;

pub use coco::{CocoResult, coco_results};
pub use contours::{Contour, contours};
pub use folder::{OutputFolder, OutputKind, PhotoSummary};
pub use labels_png::write_labels_png;
pub use overlay::draw_overlay;
