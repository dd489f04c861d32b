use serde::Serialize;
use unetr_data::RunLengths;

use crate::Segmentation;

/// A class of a photo in the format of COCO's results.
///
/// Source: <https://cocodataset.org/#format-results>
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CocoResult<I> {
    /// The photo.
    pub image_id: I,
    /// The class's number.
    pub category_id: u8,
    /// Its pixels.
    pub segmentation: RunLengths,
    /// How many they are.
    pub area: u64,
    /// The mean of their probabilities.
    pub score: f64,
}

/// The classes that a photo shows, each as one region; `classes` is how many there are.
pub fn coco_results<I: Clone>(
    image_id: I,
    segmentation: &Segmentation,
    classes: u8,
) -> Vec<CocoResult<I>> {
    let areas = segmentation.areas(usize::from(classes)).into_iter();
    let shown = (0..classes).zip(areas).filter(|(_, area)| area.pixels > 0);
    let result = |(class, area): (u8, crate::ClassArea)| CocoResult {
        image_id: image_id.clone(),
        category_id: class,
        segmentation: RunLengths::of_class(&segmentation.labels, class),
        area: area.pixels,
        score: area.confidence,
    };
    shown.map(result).collect()
}
