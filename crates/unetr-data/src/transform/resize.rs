use super::{Canvas, PixelType, Region, Transform, geometry::Step, settings::check_size};
use crate::{Result, SampleRng};
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
    fn draw(&self, canvas: &mut Canvas, _: &mut SampleRng) -> Result<()> {
        check_size("Resize", self.size)?;
        let whole = Region::whole(canvas.size()?);
        canvas.geometry("Resize", Step::Resize(whole, self.size))
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
