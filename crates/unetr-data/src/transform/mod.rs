//! Transforms that act on a photo and its mask together.
//!
//! A transform is plain data (serde) with one job, [`Transform::draw`]. Photos are interpolated, masks
//! always take the nearest pixel, so no class appears that was not there. Crops, resizes, mirror images and
//! changes of brightness have the arithmetic of OpenCV and albumentations 2, value for value; what others
//! have of them is in the crate's README.
//!
//! A transform notes on a [`Canvas`] what it does, and the canvas does neighbouring steps at once.
//!
//! Geometric and colour transforms work on 8-bit pixels; [`Normalize`] makes them floats and comes
//! last, which [`Compose::validate`] checks.

mod affine;
mod brightness_contrast;
mod canvas;
mod clahe;
mod class_crop;
mod coarse_dropout;
mod color_jitter;
mod compose;
mod convolution;
mod crop;
mod d4;
mod elastic;
mod equalize;
mod flip;
mod gamma;
mod gaussian_blur;
mod gaussian_noise;
mod geometry;
mod grayscale;
mod grid_distortion;
mod interpolate;
mod jpeg_compression;
mod motion_blur;
mod normalize;
mod one_of;
mod pad;
mod perspective;
mod pixels;
mod probability;
mod projection;
mod random_resized_crop;
mod resize;
mod sample_at;
mod settings;
mod some_of;
mod step;

pub use affine::{Affine, AffineParams};
pub use brightness_contrast::{BrightnessContrastParams, RandomBrightnessContrast};
pub use canvas::Canvas;
pub use clahe::Clahe;
pub use class_crop::ClassCrop;
pub use coarse_dropout::CoarseDropout;
pub use color_jitter::ColorJitter;
pub use compose::Compose;
pub use crop::{CenterCrop, RandomCrop};
pub use d4::D4;
pub use elastic::ElasticTransform;
pub use equalize::Equalize;
pub use flip::{HorizontalFlip, VerticalFlip};
pub use gamma::RandomGamma;
pub use gaussian_blur::GaussianBlur;
pub use gaussian_noise::GaussianNoise;
pub use geometry::Region;
pub use grayscale::ToGray;
pub use grid_distortion::GridDistortion;
pub use jpeg_compression::JpegCompression;
pub use motion_blur::MotionBlur;
pub use normalize::Normalize;
pub use one_of::{Choice, OneOf};
pub use pad::Pad;
pub use perspective::Perspective;
pub use pixels::PixelType;
pub(crate) use pixels::planes;
pub use probability::Probability;
pub use random_resized_crop::RandomResizedCrop;
pub use resize::{Resize, resize_image};
pub use some_of::SomeOf;
pub use step::{Step, Transform};
