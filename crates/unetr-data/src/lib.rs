#![doc = include_str!("../README.md")]

mod batch;
mod class_map;
mod dataset;
mod decode;
#[cfg(feature = "download")]
mod download;
mod error;
mod files;
mod folder;
mod loader;
mod numpy_rng;
mod oxford_pets;
mod rng;
mod sample;
mod split;
mod subset;
mod transform;

pub use batch::Batch;
pub use class_map::ClassMap;
pub use dataset::Dataset;
pub use decode::{ExifOrientation, read_image, read_mask};
#[cfg(feature = "download")]
pub use download::{
    ArchiveSource, DownloadConfig, DownloadEvent, UnpackLimits, download_archive,
    download_oxford_pets,
};
pub use error::{Error, Result};
pub use folder::{FolderConfig, FolderDataset};
pub use loader::{DataLoader, DataLoaderConfig, EpochIter, OnBroken, Order, Remainder};
pub use numpy_rng::NumpyRng;
pub use oxford_pets::{CORRUPT_PETS, OxfordPets, OxfordPetsConfig, Species};
pub use rng::{SampleRng, sample_rng};
pub use sample::{Image, Sample};
pub use split::Split;
pub use subset::Subset;
pub use transform::{
    Affine, AffineParams, BrightnessContrastParams, Choice, Compose, HorizontalFlip, Normalize,
    OneOf, PixelType, Probability, RandomBrightnessContrast, RandomResizedCrop, Region, Resize,
    Step, Transform, VerticalFlip,
};
