//! Pictures of a training run: its curves, and what the model sees; and all of it as one page.

mod canvas;
mod chart;
mod curves;
mod gallery;
mod html;
mod picture;
mod predictions;
mod sheet;
mod ticks;

pub use curves::draw_curves;
pub use gallery::{Gallery, GalleryEntry, Rank, ScoredSample};
pub use html::Report;
pub use picture::Picture;
pub use predictions::{PredictionSample, draw_predictions};
pub use sheet::draw_sheet;
