use image::RgbImage;
use image::imageops::FilterType;

use super::canvas::{Align, Canvas, INK, Weight};

const CELL: u32 = 160;
const GAP: u32 = 8;
const MARGIN: u32 = 24;
const TITLE: u32 = 28;
const TEXT: f32 = 18.0;

/// Draws rows of pictures, each below its title: a contact sheet.
///
/// Every picture is scaled so that its longer side has 160 pixels. Titles are of ASCII letters, and end where the sheet
/// does.
///
/// # Examples
/// ```
/// use image::RgbImage;
/// use unetr_train::draw_sheet;
///
/// let rows = [("black", vec![RgbImage::new(64, 48); 3]), ("none", vec![])];
/// let sheet = draw_sheet(&rows);
/// assert!(sheet.width() > 3 * 160);
/// ```
pub fn draw_sheet<S: AsRef<str>>(rows: &[(S, Vec<RgbImage>)]) -> RgbImage {
    let columns = rows.iter().map(|(_, pictures)| pictures.len()).max();
    let columns = columns.unwrap_or(0).max(1) as u32;
    let width = 2 * MARGIN + columns * CELL + (columns - 1) * GAP;
    let height =
        |pictures: &[RgbImage]| TITLE + GAP + pictures.iter().map(|p| fit(p).1).max().unwrap_or(0);
    let rows_height: u32 = rows.iter().map(|(_, pictures)| height(pictures)).sum();
    let mut canvas = Canvas::new(width, 2 * MARGIN + rows_height);
    let mut y = MARGIN;
    for (title, pictures) in rows {
        let place = (MARGIN as i32, y as i32);
        let title = shortened(&canvas, title.as_ref(), width - 2 * MARGIN);
        canvas.text(&title, place, TEXT, (Align::Left, Weight::Medium), INK);
        for (column, picture) in (0..).zip(pictures) {
            let (width, height) = fit(picture);
            let picture = image::imageops::resize(picture, width, height, FilterType::CatmullRom);
            let x = MARGIN + column * (CELL + GAP) + (CELL - width) / 2;
            canvas.place(&picture, x, y + TITLE);
        }
        y += height(pictures);
    }
    canvas.finish()
}

/// As much of a title as fits.
fn shortened(canvas: &Canvas, title: &str, width: u32) -> String {
    let fits = |title: &str| canvas.text_width(title, TEXT, Weight::Medium) <= width;
    if fits(title) {
        return title.into();
    }
    let mut shorter: String = title.into();
    while !shorter.is_empty() && !fits(&format!("{shorter} ...")) {
        shorter.pop();
    }
    format!("{shorter} ...")
}

/// The largest size of a picture's proportions that fits a cell.
fn fit(picture: &RgbImage) -> (u32, u32) {
    let (width, height) = picture.dimensions();
    let scale = f64::from(CELL) / f64::from(width.max(height).max(1));
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).clamp(1, CELL);
    (side(width), side(height))
}
