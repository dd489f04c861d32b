use image::{GrayImage, RgbImage};
use imageproc::morphology::{Mask, grayscale_dilate, grayscale_erode};

use super::Palette;
use super::canvas::blend;
use crate::{Error, Result};

/// Draws classes over a photo: at half opacity, and in full colour where two classes meet.
///
/// On both sides of such a border the line has a 256th of the photo's longer side, from 1 to 4
/// pixels. The edge of the photo is no border.
///
/// # Errors
/// When photo and classes differ in size or are empty.
///
/// # Examples
/// ```
/// # use image::{GrayImage, Luma, Rgb, RgbImage};
/// # use unetr_train::{Palette, draw_overlay};
/// # fn main() -> unetr_train::Result<()> {
/// let photo = RgbImage::new(64, 64);
/// let classes = GrayImage::from_fn(64, 64, |x, _| Luma([u8::from(x >= 32)]));
/// let palette = Palette::viridis(["left", "right"]);
/// let picture = draw_overlay(&photo, &classes, &palette)?;
/// assert_eq!(*picture.get_pixel(32, 0), palette.colour(1));
/// # Ok(())
/// # }
/// ```
pub fn draw_overlay(photo: &RgbImage, classes: &GrayImage, palette: &Palette) -> Result<RgbImage> {
    let size = photo.dimensions();
    if classes.dimensions() != size || size.0 == 0 || size.1 == 0 {
        return Err(Error::OverlaySize {
            photo: size,
            classes: classes.dimensions(),
        });
    }
    let reach = Mask::disk((size.0.max(size.1) / 256).clamp(1, 4) as u8);
    // They differ exactly where more than one class is within reach.
    let least = grayscale_erode(classes, &reach);
    let greatest = grayscale_dilate(classes, &reach);
    Ok(RgbImage::from_fn(size.0, size.1, |x, y| {
        let colour = palette.colour(classes.get_pixel(x, y).0[0]);
        let border = least.get_pixel(x, y) != greatest.get_pixel(x, y);
        let opacity = if border { 1.0 } else { 0.5 };
        blend(*photo.get_pixel(x, y), colour, opacity)
    }))
}
