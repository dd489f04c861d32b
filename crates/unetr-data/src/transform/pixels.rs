use crate::simd::vectorised;
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

/// `[3, height, width]`: all red, then all green, then all blue values.
pub(crate) fn planes(photo: &RgbImage) -> Vec<u8> {
    let (pixels, _) = photo.as_chunks::<3>();
    let mut planes = vec![0; photo.len()];
    let (red, others) = planes.split_at_mut(pixels.len());
    let (green, blue) = others.split_at_mut(pixels.len());
    vectorised!({
        let channels = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in pixels.iter().zip(channels) {
            [*red, *green, *blue] = *pixel;
        }
    });
    planes
}
