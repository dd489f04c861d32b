#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod batch;
mod cache;
mod class_map;
mod class_names;
mod coco;
mod csv_list;
mod dataset;
mod decode;
#[cfg(feature = "download")]
mod download;
mod error;
mod files;
mod fingerprint;
mod folder;
mod loader;
mod mask_coding;
mod numpy_rng;
mod oxford_pets;
mod panic;
mod rng;
mod sample;
mod simd;
mod split;
mod subset;
mod transform;
mod verify;
mod voc;

// In what this crate takes and gives: versions of one's own would be other types.
pub use {candle_core, image, rand};

pub use batch::Batch;
pub use cache::{CacheStats, MemoryCache, PrepareConfig, PreparedDataset};
pub use class_map::ClassMap;
pub use class_names::Classes;
pub use coco::{CocoConfig, CocoDataset, Crowds, RunLengths};
pub use csv_list::{CsvConfig, CsvDataset};
pub use dataset::Dataset;
pub use decode::{
    ExifOrientation, IMAGE_EXTENSIONS, decode_image, decode_mask, read_image, read_mask,
};
#[cfg(feature = "download")]
pub use download::{
    ArchiveSource, DownloadConfig, DownloadEvent, UnpackLimits, download_archive,
    download_oxford_pets, unpack_archive,
};
pub use error::{Error, Result};
pub use fingerprint::Fingerprint;
pub use folder::{FolderConfig, FolderDataset};
pub use loader::{
    DataLoader, DataLoaderConfig, EpochIter, Mix, OnBroken, Order, Position, Remainder, Shard,
};
pub use mask_coding::{MaskCoding, read_colour_mask};
pub use numpy_rng::NumpyRng;
pub use oxford_pets::{CORRUPT_PETS, OxfordPets, OxfordPetsConfig, Species};
pub use rng::{SampleRng, sample_rng};
pub use sample::{Image, Planes, Sample};
pub use split::Split;
pub use subset::Subset;
pub use transform::{
    Affine, AffineParams, BrightnessContrastParams, Canvas, CenterCrop, Choice, Clahe, ClassCrop,
    CoarseDropout, ColorJitter, Compose, D4, ElasticTransform, Equalize, GaussianBlur,
    GaussianNoise, GridDistortion, HorizontalFlip, JpegCompression, MotionBlur, Normalize, OneOf,
    Pad, Perspective, PixelType, Probability, RandomBrightnessContrast, RandomCrop, RandomGamma,
    RandomResizedCrop, Region, Resize, SomeOf, Step, ToGray, Transform, VerticalFlip, resize_image,
};
pub use verify::{ClassCount, Problem, Spread, Statistics, Verification, VerifyConfig, verify};
pub use voc::{VocConfig, VocDataset};
