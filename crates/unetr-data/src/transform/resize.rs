use super::geometry::{Step, Window};
use super::{Canvas, PixelType, Region, Transform, settings::check_size};
use crate::{Error, Result, SampleRng};
use image::RgbImage;
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

/// A photo at another height and width, as [`Resize`] makes it.
///
/// # Errors
/// When the size or the photo has no pixels.
///
/// # Examples
/// ```
/// use image::RgbImage;
///
/// let small = unetr_data::resize_image(&RgbImage::new(500, 375), [128, 256])?;
/// assert_eq!(small.dimensions(), (256, 128));
/// # Ok::<(), unetr_data::Error>(())
/// ```
pub fn resize_image(photo: &RgbImage, size: [usize; 2]) -> Result<RgbImage> {
    check_size("Resize", size)?;
    let whole = [photo.height() as usize, photo.width() as usize];
    if whole.contains(&0) {
        return Err(Error::NoPixels {
            name: "the photo".to_owned(),
        });
    }
    let window = Window {
        region: Region::whole(whole),
        resized: size,
        crop: Region::whole(size),
        ..Window::whole(whole)
    };
    let [height, width] = size;
    let mut resized = RgbImage::new(width as u32, height as u32);
    let (pixels, _) = resized.as_chunks_mut::<3>();
    window.bilinear(photo, |y, row| {
        pixels[y * width..][..width].copy_from_slice(row);
    });
    Ok(resized)
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
