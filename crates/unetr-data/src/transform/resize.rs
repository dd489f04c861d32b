use super::{
    PixelType, Region, Transform,
    interpolate::{resize_bilinear, resize_nearest},
    pixels::into_u8,
    settings::check_size,
};
use crate::{Image, Result, Sample, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Resizes photo and mask, whatever their shape: `cv2.resize` with `INTER_LINEAR` for the photo and
/// `INTER_NEAREST` for the mask, value for value.
///
/// There is no anti-aliasing: a photo that shrinks to less than half loses detail to aliasing, as
/// it does in OpenCV and albumentations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Height and width of the output in pixels.
    pub size: [usize; 2],
}

impl Resize {
    /// Resizes to this height and width.
    pub fn new(size: [usize; 2]) -> Self {
        Self { size }
    }
}

impl Transform for Resize {
    fn apply(&self, mut sample: Sample, _: &mut SampleRng) -> Result<Sample> {
        check_size("Resize", self.size)?;
        let whole = Region::whole(sample.size()?);
        let pixels = into_u8(sample.image, "Resize")?;
        sample.image = Image::U8(resize_bilinear(&pixels, whole, self.size));
        sample.mask = resize_nearest(&sample.mask, whole, self.size);
        Ok(sample)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_size("Resize", self.size)?;
        pixels.require_u8("Resize")
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        write!(f, "Resize({height}x{width})")
    }
}
