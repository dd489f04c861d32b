use image::imageops::FilterType;
use image::{GrayImage, Rgb, RgbImage};
use unetr_data::Classes;
use unetr_predict::draw_overlay;

use super::canvas::{Align, Canvas, GRID, INK, Weight};
use crate::{Error, Result};

const CELL: u32 = 256;
const GAP: u32 = 12;
const MARGIN: u32 = 24;
const HEADER: u32 = 44;
const LEGEND: u32 = 56;
const TEXT: f32 = 22.0;
const TITLES: [&str; 5] = [
    "Image",
    "Mask",
    "Image + mask",
    "Prediction",
    "Image + prediction",
];
const COLUMNS: u32 = TITLES.len() as u32;

/// One row of the picture of predictions: three pictures of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionSample {
    /// The photo.
    pub image: RgbImage,
    /// The true class of every pixel.
    pub mask: GrayImage,
    /// The predicted class of every pixel.
    pub prediction: GrayImage,
}

/// Draws samples in rows: image, mask, both, prediction, both; with a legend of the classes.
///
/// Every picture is scaled so that its longer side has 256 pixels. Classes lie over the image as
/// [`draw_overlay`](unetr_predict::draw_overlay) draws them.
///
/// # Errors
/// When a sample's pictures differ in size or are empty.
///
/// # Examples
/// ```
/// # use image::{GrayImage, RgbImage};
/// # use unetr_data::Classes;
/// # use unetr_train::{PredictionSample, draw_predictions};
/// # fn main() -> unetr_train::Result<()> {
/// let sample = PredictionSample {
///     image: RgbImage::new(64, 64),
///     mask: GrayImage::new(64, 64),
///     prediction: GrayImage::new(64, 64),
/// };
/// let classes = Classes::viridis(["pet", "background", "boundary"])?;
/// let picture = draw_predictions(&[sample], &classes)?;
/// # assert!(picture.width() > 5 * 256);
/// # Ok(())
/// # }
/// ```
pub fn draw_predictions(samples: &[PredictionSample], classes: &Classes) -> Result<RgbImage> {
    for (index, sample) in samples.iter().enumerate() {
        check_sizes(index, sample)?;
    }
    let rows: u32 = samples
        .iter()
        .map(|sample| fit(sample.image.dimensions()).1 + GAP)
        .sum();
    let mut canvas = Canvas::new(
        2 * MARGIN + COLUMNS * CELL + (COLUMNS - 1) * GAP,
        MARGIN + HEADER + rows + LEGEND,
    );
    let column_x = |column: u32| MARGIN + column * (CELL + GAP);
    for (column, title) in (0..).zip(TITLES) {
        let centre = ((column_x(column) + CELL / 2) as i32, MARGIN as i32);
        canvas.text(title, centre, TEXT, (Align::Centre, Weight::Medium), INK);
    }
    let mut y = MARGIN + HEADER;
    for sample in samples {
        for (column, picture) in (0..).zip(cells(sample, classes)?) {
            canvas.place(&picture, column_x(column) + (CELL - picture.width()) / 2, y);
        }
        y += fit(sample.image.dimensions()).1 + GAP;
    }
    legend(&mut canvas, classes, y + 10);
    Ok(canvas.finish())
}

/// Refuses a sample whose pictures differ in size or are empty.
pub(super) fn check_sizes(index: usize, sample: &PredictionSample) -> Result<()> {
    let image = sample.image.dimensions();
    let (mask, prediction) = (sample.mask.dimensions(), sample.prediction.dimensions());
    if mask != image || prediction != image || image.0 == 0 || image.1 == 0 {
        return Err(Error::SampleSize {
            index,
            image,
            mask,
            prediction,
        });
    }
    Ok(())
}

/// The five pictures of a sample, scaled to a cell.
pub(super) fn cells(sample: &PredictionSample, classes: &Classes) -> Result<[RgbImage; 5]> {
    let (width, height) = fit(sample.image.dimensions());
    let image = image::imageops::resize(&sample.image, width, height, FilterType::CatmullRom);
    let beside_and_over = |labels: &GrayImage| -> Result<[RgbImage; 2]> {
        let labels = image::imageops::resize(labels, width, height, FilterType::Nearest);
        let beside = RgbImage::from_fn(width, height, |x, y| {
            Rgb(classes.colour(labels.get_pixel(x, y).0[0]))
        });
        Ok([beside, draw_overlay(&image, &labels, classes)?])
    };
    let [mask, with_mask] = beside_and_over(&sample.mask)?;
    let [prediction, with_prediction] = beside_and_over(&sample.prediction)?;
    Ok([image, mask, with_mask, prediction, with_prediction])
}

/// The largest size of the same proportions that fits a cell.
fn fit((width, height): (u32, u32)) -> (u32, u32) {
    let scale = f64::from(CELL) / f64::from(width.max(height));
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).clamp(1, CELL);
    (side(width), side(height))
}

/// A swatch of each class with its name, from left to right.
fn legend(canvas: &mut Canvas, classes: &Classes, y: u32) {
    let mut x = MARGIN;
    for (name, colour) in classes.names().iter().zip(classes.colours()) {
        swatch(canvas, x, y, Rgb(*colour));
        x += 32;
        canvas.text(
            name,
            (x as i32, y as i32),
            TEXT,
            (Align::Left, Weight::Regular),
            INK,
        );
        x += canvas.text_width(name, TEXT, Weight::Regular) + 32;
    }
}

fn swatch(canvas: &mut Canvas, x: u32, y: u32, colour: Rgb<u8>) {
    canvas.fill(x, y + 1, 22, 22, GRID);
    canvas.fill(x + 1, y + 2, 20, 20, colour);
}
