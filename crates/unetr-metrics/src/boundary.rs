//! The inner boundaries of all classes of a label map at once.
//!
//! A pixel is inside its class where the square of side `2 d + 1` around it has one label and does
//! not reach over the edge of the image; all others are boundary. Runs of equal labels tell: first
//! along the rows, then, of what the rows tell, down the columns. So a map is read once, whatever
//! `d` and the number of classes.

use crate::{ConfusionMatrix, Result};

/// Stands for no class: an ignored pixel.
const NONE: u32 = u32::MAX - 1;

/// Stands for a stretch of a row with several labels, or one that is partly outside.
const MIXED: u32 = u32::MAX;

/// How far a boundary reaches into its class, in pixels, as the authors of Boundary IoU compute it:
/// Python rounds halves to the even neighbour.
pub(crate) fn distance(height: usize, width: usize, ratio: f64) -> usize {
    let diagonal = ((height * height + width * width) as f64).sqrt();
    ((ratio * diagonal).round_ties_even() as usize).max(1)
}

/// Boundary pixels of each class in both label maps, and in either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) intersections: Vec<u64>,
    pub(crate) unions: Vec<u64>,
}

/// An image's labels, without the ignored ones.
#[derive(Debug)]
pub(crate) struct Labels {
    predictions: Vec<u32>,
    truth: Vec<u32>,
}

impl Labels {
    /// # Errors
    /// When a label is no class of `rules`, nor ignored by them.
    pub(crate) fn new(predictions: &[i64], truth: &[i64], rules: &ConfusionMatrix) -> Result<Self> {
        let mut labels = Self {
            predictions: Vec::with_capacity(truth.len()),
            truth: Vec::with_capacity(truth.len()),
        };
        for (&prediction, &label) in predictions.iter().zip(truth) {
            let (prediction, label) = match rules.row(label)? {
                Some(label) => (rules.class("predicted", prediction)? as u32, label as u32),
                None => (NONE, NONE),
            };
            labels.predictions.push(prediction);
            labels.truth.push(label);
        }
        Ok(labels)
    }

    pub(crate) fn count(&self, width: usize, distance: usize, classes: usize) -> Counts {
        let mut counts = Counts {
            intersections: vec![0; classes],
            unions: vec![0; classes],
        };
        let predicted = inside(&self.predictions, width, distance);
        let predicted = self.predictions.iter().zip(predicted);
        let true_ones = inside(&self.truth, width, distance);
        let true_ones = self.truth.iter().zip(true_ones);
        for ((&prediction, predicted_inside), (&label, inside)) in predicted.zip(true_ones) {
            if label == NONE {
                continue;
            }
            let (label, prediction) = (label as usize, prediction as usize);
            if label == prediction {
                counts.intersections[label] += u64::from(!inside && !predicted_inside);
                counts.unions[label] += u64::from(!inside || !predicted_inside);
            } else {
                counts.unions[label] += u64::from(!inside);
                counts.unions[prediction] += u64::from(!predicted_inside);
            }
        }
        counts
    }
}

/// Whether the square around each pixel that reaches `distance` far has one label.
fn inside(labels: &[u32], width: usize, distance: usize) -> Vec<bool> {
    let side = 2 * distance + 1;
    let mut inside = vec![false; labels.len()];
    // The label of the stretch around each pixel of this row and of the one above.
    let (mut row, mut above) = (vec![MIXED; width], vec![MIXED; width]);
    // How many rows above each pixel, and its own, have the same stretch.
    let mut runs = vec![0; width];
    for (y, labels) in labels.chunks_exact(width).enumerate() {
        row.fill(MIXED);
        let (mut run, mut last) = (0, MIXED);
        for (x, &label) in labels.iter().enumerate() {
            run = if label == last { run + 1 } else { 1 };
            last = label;
            if run >= side {
                row[x - distance] = label;
            }
        }
        for (run, (&label, &above)) in runs.iter_mut().zip(row.iter().zip(&above)) {
            let longer = if label == above { *run + 1 } else { 1 };
            *run = if label == MIXED { 0 } else { longer };
        }
        if y + 1 >= side {
            let middle = &mut inside[(y - distance) * width..][..width];
            for (inside, &run) in middle.iter_mut().zip(&runs) {
                *inside = run >= side;
            }
        }
        std::mem::swap(&mut row, &mut above);
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_to_even_and_a_boundary_has_a_pixel() {
        assert_eq!(distance(256, 256, 0.02), 7);
        assert_eq!(distance(3, 4, 0.02), 1);
        // Diagonals of 5 and 15.
        assert_eq!(distance(3, 4, 0.5), 2);
        assert_eq!(distance(9, 12, 0.5), 8);
    }

    #[test]
    fn what_is_inside_is_what_the_square_says() {
        let (height, width) = (23, 31);
        // Blocks and specks of three labels.
        let labels: Vec<u32> = (0..height * width)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                let speck = (x * 7 + y * 13) % 101 == 0;
                ((x / 12 + y / 9) as u32 + u32::from(speck)) % 3
            })
            .collect();
        for distance in [1, 2, 5, 40] {
            let square = |i: usize| {
                let (x, y) = (i % width, i / width);
                let fits =
                    x >= distance && y >= distance && x + distance < width && y + distance < height;
                fits && (y - distance..=y + distance).all(|v| {
                    (x - distance..=x + distance).all(|u| labels[v * width + u] == labels[i])
                })
            };
            let expected: Vec<bool> = (0..labels.len()).map(square).collect();
            assert_eq!(expected.contains(&true), distance < 5);
            assert_eq!(inside(&labels, width, distance), expected, "{distance}");
        }
    }
}
