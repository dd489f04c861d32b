use image::{GrayImage, Luma};
use imageproc::contours::{BorderType, find_contours};
use imageproc::point::Point;
use serde::{Deserialize, Serialize};

/// A closed line along the outermost pixels of a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contour {
    /// Columns and rows of the corners.
    pub points: Vec<[u32; 2]>,
    /// Whether it goes around a hole of the region.
    pub hole: bool,
}

/// The contours of a class in a map of labels.
///
/// A line may be off by `tolerance` pixels and has fewer corners then; with 0 it has every pixel.
///
/// Source: Suzuki and Abe 1985, <https://doi.org/10.1016/0734-189X(85)90016-7>, and Douglas and Peucker 1973 for the
/// tolerance, <https://doi.org/10.3138/FM57-6770-U75U-7727>, here of closed lines, with distances to what lies between
/// two corners.
///
/// # Examples
/// ```
/// use image::{GrayImage, Luma};
/// use unetr_predict::contours;
///
/// let inside = |x, y| (2..8).contains(&x) && (1..5).contains(&y);
/// let labels = GrayImage::from_fn(10, 6, |x, y| Luma([u8::from(inside(x, y))]));
/// let found = contours(&labels, 1, 0.5);
/// assert_eq!(found.len(), 1);
/// assert_eq!(found[0].points.len(), 4);
/// ```
pub fn contours(labels: &GrayImage, class: u8, tolerance: f64) -> Vec<Contour> {
    // `find_contours` sees no outer line where nothing is to its left.
    let (width, height) = labels.dimensions();
    let mut region = GrayImage::new(width + 2, height + 2);
    for (x, y, label) in labels.enumerate_pixels() {
        if label.0 == [class] {
            region.put_pixel(x + 1, y + 1, Luma([255]));
        }
    }
    let found = find_contours::<u32>(&region).into_iter().map(|contour| {
        let points = match tolerance > 0. {
            true => simplified(contour.points, tolerance),
            false => contour.points,
        };
        let points = points.into_iter().map(|point| [point.x - 1, point.y - 1]);
        Contour {
            points: points.collect(),
            hole: contour.border_type == BorderType::Hole,
        }
    });
    found.collect()
}

/// A closed line with fewer corners, from the lines between which no point is farther than the tolerance.
fn simplified(mut points: Vec<Point<u32>>, tolerance: f64) -> Vec<Point<u32>> {
    let Some(&first) = points.first() else {
        return points;
    };
    // Both ways from the first point to the one farthest from it, and back.
    points.push(first);
    let last = points.len() - 1;
    let (_, middle) = farthest(&points, 0, last);
    let mut kept = vec![false; last];
    let mut parts = vec![(0, middle), (middle, last)];
    while let Some((start, end)) = parts.pop() {
        kept[start] = true;
        let (distance, index) = farthest(&points, start, end);
        if distance > tolerance {
            parts.extend([(start, index), (index, end)]);
        }
    }
    let corners = points.into_iter().zip(kept);
    corners
        .filter_map(|(point, kept)| kept.then_some(point))
        .collect()
}

/// How far the points of a part of a line are from the straight line between its ends at most, and which is.
fn farthest(points: &[Point<u32>], start: usize, end: usize) -> (f64, usize) {
    let place = |index: usize| {
        let Point { x, y } = points[index];
        [f64::from(x), f64::from(y)]
    };
    let ([x, y], [end_x, end_y]) = (place(start), place(end));
    let (across, down) = (end_x - x, end_y - y);
    let length = across * across + down * down;
    let mut most = (0., start);
    for index in start + 1..end {
        let [dx, dy] = [place(index)[0] - x, place(index)[1] - y];
        let along = match length > 0. {
            true => ((dx * across + dy * down) / length).clamp(0., 1.),
            false => 0.,
        };
        let distance = (dx - along * across).hypot(dy - along * down);
        if distance > most.0 {
            most = (distance, index);
        }
    }
    most
}
