//! Samples that need not be decoded again.
//!
//! Of the time that decoding a sample takes, copying it from memory takes about a twentieth, reading it
//! from a file and checking it about a tenth. Where the decoded samples fit into memory, [`MemoryCache`]
//! keeps them from the first epoch on. [`PreparedDataset`] keeps them in a file, from run to run, and the
//! operating system keeps as much of that in memory as it can spare, for all processes together.
//!
//! Both hold what comes before the random transforms; those are drawn anew in every epoch.

mod aside;
mod config;
mod format;
mod memory;
mod positioned;
mod prepared;
mod writer;

pub use config::PrepareConfig;
pub use memory::{CacheStats, MemoryCache};
pub use prepared::PreparedDataset;
