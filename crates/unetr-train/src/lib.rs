#![doc = include_str!("../README.md")]

mod checkpoint;
mod error;
mod history;
mod number;
mod report;
mod schedule;

pub use checkpoint::{Checkpoint, CheckpointWriter, Checkpoints, Mode, Retention};
pub use error::{Error, Result};
pub use history::{History, HistoryFile, Record, Split};
pub use report::{Palette, PredictionSample, draw_curves, draw_predictions};
pub use schedule::Schedule;
