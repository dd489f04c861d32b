//! Learning rates over the updates of a run.

mod config;
mod display;
mod function;
mod validate;

pub use config::{RunSpan, ScheduleConfig};
pub use function::{Schedule, SchedulePart};
