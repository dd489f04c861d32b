use image::GrayImage;
use imageproc::contours::{BorderType, find_contours};
use imageproc::geometry::approximate_polygon_dp;
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
/// tolerance, <https://doi.org/10.3138/FM57-6770-U75U-7727>, both of `imageproc`.
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
    let mut region = labels.clone();
    region
        .iter_mut()
        .for_each(|label| *label = if *label == class { 255 } else { 0 });
    let found = find_contours::<u32>(&region).into_iter().map(|contour| {
        let points = match tolerance > 0. {
            true => approximate_polygon_dp(&contour.points, tolerance, true),
            false => contour.points,
        };
        Contour {
            points: points.into_iter().map(|point| [point.x, point.y]).collect(),
            hole: contour.border_type == BorderType::Hole,
        }
    });
    found.collect()
}
