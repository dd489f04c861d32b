//! One look at every sample of a data set before it is trained on: what is broken, and what is there.
//!
//! Each sample is read once, in threads, and counted in whole numbers, so that the result is the same
//! whatever their number. It costs the time of reading and decoding, and little memory.

mod pass;
mod report;
mod tally;

pub use pass::{VerifyConfig, verify};
pub use report::{ClassCount, Problem, Spread, Statistics, Verification};
