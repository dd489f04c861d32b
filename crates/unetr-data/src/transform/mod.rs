//! Transforms that act on a photo and its mask together.
//!
//! A transform is plain data (serde) with one job, [`Transform::apply`]. Every random one first
//! draws its parameters (`sample_params`) and then applies them without a generator
//! (`apply_params`), so that the second half can be compared with other libraries; photos are
//! interpolated, masks always take the nearest pixel, so no class appears that was not there. The
//! arithmetic is that of OpenCV and albumentations 2, value for value, except that `Affine` rounds
//! the exact interpolation where OpenCV's floats may land one level beside it.
//!
//! Geometric and colour transforms work on 8-bit pixels; [`Normalize`] makes them floats and comes
//! last, which [`Compose::validate`] checks.

mod affine;
mod brightness_contrast;
mod compose;
mod flip;
mod interpolate;
mod normalize;
mod one_of;
mod pixels;
mod probability;
mod random_resized_crop;
mod resize;
mod settings;
mod step;
mod warp;

pub use affine::{Affine, AffineParams};
pub use brightness_contrast::{BrightnessContrastParams, RandomBrightnessContrast};
pub use compose::Compose;
pub use flip::{HorizontalFlip, VerticalFlip};
pub use interpolate::Region;
pub use normalize::Normalize;
pub use one_of::{Choice, OneOf};
pub use pixels::PixelType;
pub use probability::Probability;
pub use random_resized_crop::RandomResizedCrop;
pub use resize::Resize;
pub use step::{Step, Transform};
