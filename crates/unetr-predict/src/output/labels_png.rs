use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::GrayImage;
use unetr_data::Classes;

use crate::error::At;
use crate::{Error, Result};

/// Writes labels as a PNG file of palette indices: programs read the classes' numbers, people see their colours.
///
/// # Errors
/// When the file cannot be written or there are no pixels.
///
/// # Examples
/// ```
/// use image::GrayImage;
/// use unetr_data::{Classes, read_mask};
/// use unetr_predict::write_labels_png;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("labels.png");
/// let labels = GrayImage::from_fn(4, 3, |x, _| image::Luma([x as u8 / 2]));
/// write_labels_png(&path, &labels, &Classes::viridis(["left", "right"])?)?;
/// assert_eq!(read_mask(&path)?, labels);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_labels_png(
    path: impl AsRef<Path>,
    labels: &GrayImage,
    classes: &Classes,
) -> Result<()> {
    let path = path.as_ref();
    let (width, height) = labels.dimensions();
    let highest = labels.iter().copied().max().ok_or(Error::NoPixels {
        name: "the map of labels",
        width,
        height,
    })?;
    let colours = usize::from(highest).max(classes.len() - 1);
    let palette: Vec<u8> = (0..=colours)
        .flat_map(|label| classes.colour(label as u8))
        .collect();
    let file = BufWriter::new(File::create(path).at(path)?);
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    let write = || {
        let mut writer = encoder.write_header()?;
        writer.write_image_data(labels)?;
        writer.finish()
    };
    write().map_err(|error| Error::Picture {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
