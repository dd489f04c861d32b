//! Batches from a dataset, read and transformed in worker threads.
//!
//! What a batch holds depends on the configuration, the epoch and the dataset, never on the number
//! of threads or their speed: workers take the next position of the epoch's order, whichever of
//! them is free; their samples are put back in order, and only then are batches formed. Every
//! random choice comes from the generator of `(seed, epoch, index)`. Nothing is written down
//! between epochs, so that any place of any epoch can be reached at once
//! ([`DataLoader::resume`]).
//!
//! At most `prefetch * batch_size` samples are held beside the batches already handed out.

mod config;
mod data_loader;
mod epoch;
mod job;
mod mix;
mod position;
mod shard;
mod workers;

pub use config::{DataLoaderConfig, OnBroken, Order, Remainder};
pub use data_loader::DataLoader;
pub use epoch::EpochIter;
pub use mix::Mix;
pub use position::Position;
pub use shard::Shard;
