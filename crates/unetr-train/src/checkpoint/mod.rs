//! Checkpoints: a folder each, complete or not there at all.
//!
//! A checkpoint is written beside its final place (`.tmp-step-0000123`), every file and the folder
//! are flushed to the disk, and one rename puts it there (`step-0000123`). A crash at any moment
//! leaves at worst a temporary folder, which is never read.

mod handle;
mod retention;
mod store;
mod writer;

pub use handle::Checkpoint;
pub use retention::{Objective, Retention};
pub use store::Checkpoints;
pub use writer::CheckpointWriter;

/// What this version writes and reads.
const FORMAT: u32 = 1;
const STATE: &str = "state.json";
const METRICS: &str = "metrics.json";
