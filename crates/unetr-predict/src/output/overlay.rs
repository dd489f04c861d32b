use image::{GrayImage, Rgb, RgbImage};
use imageproc::morphology::{Mask, grayscale_dilate, grayscale_erode};
use unetr_data::Classes;

use crate::{Error, Result};

/// Draws classes over a photo: at half opacity, and in full colour where two classes meet.
///
/// On both sides of such a border the line has a 256th of the photo's longer side, from 1 to 4
/// pixels. The edge of the photo is no border.
///
/// # Errors
/// When photo and labels differ in size or are empty.
///
/// # Examples
/// ```
/// use image::{GrayImage, Luma, Rgb, RgbImage};
/// use unetr_data::Classes;
/// use unetr_predict::draw_overlay;
///
/// let photo = RgbImage::new(64, 64);
/// let labels = GrayImage::from_fn(64, 64, |x, _| Luma([u8::from(x >= 32)]));
/// let classes = Classes::viridis(["left", "right"])?;
/// let picture = draw_overlay(&photo, &labels, &classes)?;
/// assert_eq!(*picture.get_pixel(32, 0), Rgb(classes.colour(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn draw_overlay(photo: &RgbImage, labels: &GrayImage, classes: &Classes) -> Result<RgbImage> {
    let size = photo.dimensions();
    if labels.dimensions() != size || size.0 == 0 || size.1 == 0 {
        return Err(Error::OverlaySize {
            photo: size,
            labels: labels.dimensions(),
        });
    }
    let reach = Mask::disk((size.0.max(size.1) / 256).clamp(1, 4) as u8);
    // They differ exactly where more than one class is within reach.
    let least = grayscale_erode(labels, &reach);
    let greatest = grayscale_dilate(labels, &reach);
    Ok(RgbImage::from_fn(size.0, size.1, |x, y| {
        let colour = classes.colour(labels.get_pixel(x, y).0[0]);
        match least.get_pixel(x, y) == greatest.get_pixel(x, y) {
            true => half_covered(*photo.get_pixel(x, y), colour),
            false => Rgb(colour),
        }
    }))
}

/// Halfway from a pixel to a colour.
fn half_covered(pixel: Rgb<u8>, colour: [u8; 3]) -> Rgb<u8> {
    // Rounded up, unlike `midpoint`.
    let mix =
        |channel| (u16::from(pixel.0[channel]) + u16::from(colour[channel])).div_ceil(2) as u8;
    Rgb(std::array::from_fn(mix))
}
