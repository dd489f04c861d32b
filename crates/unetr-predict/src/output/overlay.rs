use image::{GrayImage, Rgb, RgbImage};
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
    let border = borders(labels, (size.0.max(size.1) / 256).clamp(1, 4));
    let pixels = photo.pixels().zip(labels.iter()).zip(border);
    let drawn = pixels.flat_map(|((&pixel, &label), border)| {
        let colour = classes.colour(label);
        if border {
            colour
        } else {
            half_covered(pixel, colour).0
        }
    });
    RgbImage::from_raw(size.0, size.1, drawn.collect()).ok_or(Error::OverlaySize {
        photo: size,
        labels: size,
    })
}

/// Whether there is another label within a distance of each pixel.
///
/// The nearest pixel of another label has a neighbour of this one's: only around pixels with another neighbour has to
/// be looked.
fn borders(labels: &GrayImage, distance: u32) -> Vec<bool> {
    let (width, height) = (i64::from(labels.width()), i64::from(labels.height()));
    let distance = i64::from(distance);
    let around = -distance..=distance;
    let disk: Vec<(i64, i64)> = around
        .clone()
        .flat_map(|dy| around.clone().map(move |dx| (dx, dy)))
        .filter(|(dx, dy)| dx * dx + dy * dy <= distance * distance)
        .collect();
    let place = |x: i64, y: i64| {
        let inside = (0..width).contains(&x) && (0..height).contains(&y);
        inside.then_some((y * width + x) as usize)
    };
    let labels: &[u8] = labels;
    let mut borders = vec![false; labels.len()];
    for (at, &label) in labels.iter().enumerate() {
        let (x, y) = (at as i64 % width, at as i64 / width);
        let differs = |&at: &usize| labels[at] != label;
        let neighbours = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)];
        if !neighbours
            .iter()
            .filter_map(|&(x, y)| place(x, y))
            .any(|at| differs(&at))
        {
            continue;
        }
        let near = disk.iter().filter_map(|(dx, dy)| place(x + dx, y + dy));
        near.filter(differs).for_each(|at| borders[at] = true);
    }
    borders
}

/// Halfway from a pixel to a colour.
fn half_covered(pixel: Rgb<u8>, colour: [u8; 3]) -> Rgb<u8> {
    // Rounded up, unlike `midpoint`.
    let mix =
        |channel| (u16::from(pixel.0[channel]) + u16::from(colour[channel])).div_ceil(2) as u8;
    Rgb(std::array::from_fn(mix))
}
