use std::ops::Range;

use image::GrayImage;

/// How far out a coordinate may be, in pixels; no image is as large.
const MAX_COORDINATE: f64 = 1e6;

/// Gives a value to the pixels whose centres are inside of a polygon, by the even-odd rule.
///
/// The polygon is `x, y, x, y …` from the image's upper left corner, so that the first pixel's centre
/// is at (0.5, 0.5). A centre on an edge belongs to what is right of it or below: polygons that share
/// an edge leave no gap and share no pixel.
pub(super) fn paint(coordinates: &[f64], mask: &mut GrayImage, value: u8) -> Result<(), String> {
    let (points, rest) = coordinates.as_chunks::<2>();
    if points.len() < 3 || !rest.is_empty() {
        return Err(format!(
            "a polygon has {} coordinates; expected x and y of 3 points or more",
            coordinates.len()
        ));
    }
    let allowed = -MAX_COORDINATE..=MAX_COORDINATE;
    if let Some(far) = coordinates.iter().find(|c| !allowed.contains(c)) {
        return Err(format!(
            "a polygon has the coordinate {far}; expected at most {MAX_COORDINATE} pixels"
        ));
    }
    let (width, height) = mask.dimensions();
    let (columns, rows) = (extent(points, 0, width), extent(points, 1, height));
    // Where edges cross the rows' centres: what is right of it changes between outside and inside.
    let mut crossings = vec![false; rows.len() * columns.len()];
    let next = points.iter().cycle().skip(1);
    for (&start, &end) in points.iter().zip(next) {
        // From above, so that both polygons at an edge compute the same.
        let ([x0, y0], [x1, y1]) = if start[1] <= end[1] {
            (start, end)
        } else {
            (end, start)
        };
        for y in first_centre(y0, height)..first_centre(y1, height) {
            // Multiplied first: exact where an edge goes through a centre.
            let x = x0 + (y as f64 + 0.5 - y0) * (x1 - x0) / (y1 - y0);
            let column = first_centre(x, width).max(columns.start);
            if column < columns.end {
                crossings[(y - rows.start) * columns.len() + column - columns.start] ^= true;
            }
        }
    }
    let (pixels, width) = (&mut **mask, width as usize);
    for (y, crossings) in rows.zip(crossings.chunks_exact(columns.len().max(1))) {
        let mut inside = false;
        let row = &mut pixels[y * width..][columns.clone()];
        for (pixel, &crossing) in row.iter_mut().zip(crossings) {
            inside ^= crossing;
            if inside {
                *pixel = value;
            }
        }
    }
    Ok(())
}

/// The first pixel of a row or column whose centre is not before this place.
fn first_centre(place: f64, count: u32) -> usize {
    (place - 0.5).ceil().clamp(0.0, count.into()) as usize
}

/// The pixels of a row or column whose centres are within the polygon's bounds.
fn extent(points: &[[f64; 2]], axis: usize, count: u32) -> Range<usize> {
    let places = points.iter().map(|point| point[axis]);
    let least = places.clone().fold(f64::INFINITY, f64::min);
    let greatest = places.fold(f64::NEG_INFINITY, f64::max);
    first_centre(least, count)..first_centre(greatest, count)
}
