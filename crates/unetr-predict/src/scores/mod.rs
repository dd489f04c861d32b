//! Class scores of whole images, made row by row, so that an image of any size takes the memory of a strip of it.

mod mean;
mod network;
mod pixels;
mod resized;
mod rows;
mod sliding_window;
mod sweep;

pub(crate) use mean::Mean;
pub(crate) use network::Network;
pub(crate) use pixels::Photo;
pub(crate) use resized::Resized;
pub(crate) use rows::{MapRows, ScoreRows};
pub use sliding_window::{Blend, SlidingWindow, sliding_window};
pub(crate) use sweep::{Sweep, SweepConfig};
