use crate::{Error, Image, Result};
use image::RgbImage;

/// The type of a photo's pixels at one place of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelType {
    /// 8-bit, 0 to 255, as decoded.
    U8,
    /// 32-bit floats, as [`Normalize`](crate::Normalize) makes them.
    F32,
}

impl PixelType {
    /// Passes 8-bit pixels on; for the [`check`](crate::Transform::check) of a transform that keeps
    /// them so.
    ///
    /// # Errors
    /// When the pixels are floats already.
    pub fn require_u8(self, transform: &'static str) -> Result<Self> {
        match self {
            Self::U8 => Ok(self),
            Self::F32 => Err(Error::AfterNormalize { transform }),
        }
    }
}

/// The 8-bit pixels of a photo, or the error that `transform` comes too late.
pub(super) fn into_u8(image: Image, transform: &'static str) -> Result<RgbImage> {
    match image {
        Image::U8(pixels) => Ok(pixels),
        Image::F32(_) => Err(Error::AfterNormalize { transform }),
    }
}
