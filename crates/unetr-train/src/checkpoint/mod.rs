//! Checkpoints: a folder each, complete or not there at all.
//!
//! A checkpoint is written beside its final place (`.tmp-step-0000123`), every file and the folder
//! are flushed to the disk, and one rename puts it there (`step-0000123`). A crash at any moment
//! leaves at worst a temporary folder, which is never read. `state.json` lists length and checksum
//! of every file, so that one that was damaged later is not taken for good.

mod background;
mod handle;
mod lock;
mod retention;
mod store;
mod writer;

pub(crate) use background::{BackgroundSaver, Snapshot, TensorFiles};
pub use handle::Checkpoint;
pub use lock::RunLock;
pub use retention::{Objective, Retention};
pub use store::Checkpoints;
pub use writer::CheckpointWriter;

/// What this version writes.
const FORMAT: u32 = 2;
/// The oldest format that this version reads: without lengths and checksums.
const OLDEST_FORMAT: u32 = 1;
const STATE: &str = "state.json";
const METRICS: &str = "metrics.json";
