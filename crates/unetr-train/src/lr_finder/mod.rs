//! A search for the learning rate: how the loss goes while the rate rises from far too low to far too
//! high (Smith 2015, <https://arxiv.org/abs/1506.01186>, section 3.3).

mod config;
mod find;
mod snapshot;
mod sweep;

pub use config::LrFinderConfig;
pub use find::find_learning_rate;
pub use sweep::{LrPoint, LrSweep, SweepEnd};
