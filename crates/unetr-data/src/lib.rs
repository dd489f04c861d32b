#![doc = include_str!("../README.md")]

//! Segmentation datasets, joint image and mask transforms and a deterministic parallel loader.

mod batch;
mod dataset;
mod error;
mod loader;
mod rng;
mod sample;
mod transform;

pub use batch::Batch;
pub use dataset::Dataset;
pub use error::{Error, Result};
pub use loader::{DataLoader, DataLoaderConfig, EpochIter, OnBroken, Order, Remainder};
pub use rng::{SampleRng, sample_rng};
pub use sample::{Image, Sample};
pub use transform::{
    Affine, AffineParams, BrightnessContrastParams, Choice, Compose, HorizontalFlip, Normalize,
    OneOf, PixelType, Probability, RandomBrightnessContrast, RandomResizedCrop, Region, Resize,
    Step, Transform, VerticalFlip,
};
