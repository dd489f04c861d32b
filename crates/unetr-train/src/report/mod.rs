//! Pictures of a training run: its curves, and what the model sees.

mod canvas;
mod chart;
mod curves;
mod overlay;
mod palette;
mod predictions;
mod sheet;
mod ticks;

pub use curves::draw_curves;
pub use overlay::draw_overlay;
pub use palette::Palette;
pub use predictions::{PredictionSample, draw_predictions};
pub use sheet::draw_sheet;
