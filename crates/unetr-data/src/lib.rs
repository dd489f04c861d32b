//! Segmentation datasets, joint image and mask transforms and a deterministic parallel loader.

mod dataset;
mod error;
mod rng;
mod sample;

pub use dataset::Dataset;
pub use error::{Error, Result};
pub use rng::{SampleRng, sample_rng};
pub use sample::{Image, Sample};
