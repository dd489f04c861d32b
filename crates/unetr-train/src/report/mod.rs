//! Pictures of a training run: its curves, and what the model sees; and all of it as one page.

mod canvas;
mod chart;
mod curves;
mod gallery;
mod html;
mod overlay;
mod palette;
mod predictions;
mod sheet;
mod ticks;

pub use curves::draw_curves;
pub use gallery::{Gallery, GalleryEntry, Picture, Rank, ScoredSample};
pub use html::Report;
pub use overlay::draw_overlay;
pub use palette::Palette;
pub use predictions::{PredictionSample, draw_predictions};
pub use sheet::draw_sheet;
