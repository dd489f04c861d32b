use image::RgbImage;

use super::report::{ClassCount, Problem, Spread, Statistics, Verification};
use crate::Classes;

/// How often each value occurs.
pub(super) type Histogram = [u64; 256];

pub(super) fn histogram<'a>(values: impl Iterator<Item = &'a u8>) -> Histogram {
    let mut counts = [0; 256];
    values.for_each(|value| counts[usize::from(*value)] += 1);
    counts
}

/// What one thread has seen. All of it is whole numbers, so that the order plays no part.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) problems: Vec<Problem>,
    widths: Vec<u32>,
    heights: Vec<u32>,
    /// Of each class, how many pixels and images have it.
    pixels: Histogram,
    images: Histogram,
    /// Of red, green and blue.
    colours: [Histogram; 3],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            problems: Vec::new(),
            widths: Vec::new(),
            heights: Vec::new(),
            pixels: [0; 256],
            images: [0; 256],
            colours: [[0; 256]; 3],
        }
    }
}

impl Tally {
    /// Counts a photo and the values of its mask.
    pub(super) fn count(&mut self, photo: &RgbImage, values: &Histogram) {
        self.widths.push(photo.width());
        self.heights.push(photo.height());
        for pixel in photo.pixels() {
            for (colours, channel) in self.colours.iter_mut().zip(pixel.0) {
                colours[usize::from(channel)] += 1;
            }
        }
        add(&mut self.pixels, values);
        add(
            &mut self.images,
            &values.map(|pixels| u64::from(pixels > 0)),
        );
    }

    /// Both together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.problems.extend(other.problems);
        self.widths.extend(other.widths);
        self.heights.extend(other.heights);
        add(&mut self.pixels, &other.pixels);
        add(&mut self.images, &other.images);
        for (sum, colours) in self.colours.iter_mut().zip(&other.colours) {
            add(sum, colours);
        }
        self
    }

    pub(super) fn report(mut self, samples: usize, classes: Option<&Classes>) -> Verification {
        self.problems.sort_unstable_by_key(|problem| problem.index);
        let statistics = spread(self.widths)
            .zip(spread(self.heights))
            .map(|(width, height)| {
                let moments = self.colours.map(|colours| mean_and_std(&colours));
                Statistics {
                    width,
                    height,
                    pixels: self.pixels.iter().sum(),
                    classes: class_counts(&self.pixels, &self.images, classes),
                    mean: moments.map(|(mean, _)| mean),
                    std: moments.map(|(_, std)| std),
                }
            });
        Verification {
            samples,
            problems: self.problems,
            statistics,
        }
    }
}

fn add(sum: &mut Histogram, counts: &Histogram) {
    sum.iter_mut()
        .zip(counts)
        .for_each(|(sum, count)| *sum += count);
}

/// The least, the middle and the greatest of some lengths, if there are any.
fn spread(mut lengths: Vec<u32>) -> Option<Spread> {
    lengths.sort_unstable();
    Some(Spread {
        min: *lengths.first()?,
        median: lengths[(lengths.len() - 1) / 2],
        max: *lengths.last()?,
    })
}

fn class_counts(
    pixels: &Histogram,
    images: &Histogram,
    classes: Option<&Classes>,
) -> Vec<ClassCount> {
    let names = classes.map_or(&[][..], Classes::names);
    let all: u64 = pixels.iter().sum();
    (0..=u8::MAX)
        .zip(pixels.iter().zip(images))
        .filter(|(value, (pixels, _))| **pixels > 0 || usize::from(*value) < names.len())
        .map(|(value, (&pixels, &images))| ClassCount {
            value,
            name: names.get(usize::from(value)).cloned(),
            pixels,
            share: pixels as f64 / all as f64,
            images,
        })
        .collect()
}

/// On a scale of 0 to 1. The sums are exact; what is rounded are the divisions and the root.
fn mean_and_std(counts: &Histogram) -> (f64, f64) {
    let (mut number, mut sum, mut squares) = (0_u128, 0_u128, 0_u128);
    for (value, &count) in (0_u128..).zip(counts) {
        let count = u128::from(count);
        number += count;
        sum += value * count;
        squares += value * value * count;
    }
    let scale = 255.0 * number as f64;
    let variance = number * squares - sum * sum;
    (sum as f64 / scale, (variance as f64).sqrt() / scale)
}
