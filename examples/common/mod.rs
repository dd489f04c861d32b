//! What the examples share; each takes a part of it.

pub(crate) mod device;
mod results;
pub(crate) mod run;
pub(crate) mod settings;
pub(crate) mod task;
