//! The Lovász extension of the Jaccard loss: a sum of errors, each with a weight that follows from the
//! order of all of them.

use rayon::prelude::*;

use super::sort::{CHUNK, Entry, sort};
use super::{LovaszConfig, Region};
use crate::cpu::{Real, Shared};
use crate::pixels::Pixels;

/// One class in one region, and how much it counts.
#[derive(Debug, Clone)]
pub(super) struct Term {
    class: usize,
    /// Pixels of the class.
    labelled: usize,
    /// The images of the region.
    images: std::ops::Range<usize>,
    factor: f64,
}

/// The terms of the mean.
pub(super) fn terms(pixels: &Pixels, config: &LovaszConfig) -> Vec<Term> {
    let sizes = pixels.sizes;
    let images = match config.region {
        Region::Image => 1,
        Region::Batch => sizes.batch,
    };
    let regions = sizes.batch / images;
    let of_region = |(region, labels): (usize, &[u32])| {
        let mut labelled = vec![0; sizes.classes + 1];
        for &label in labels {
            labelled[label as usize] += 1;
        }
        let ignored = labelled.pop() == Some(labels.len());
        let included = |&class: &usize| !ignored && config.classes.includes(class, labelled[class]);
        let classes: Vec<usize> = (0..sizes.classes).filter(included).collect();
        let factor = 1. / (regions * classes.len()) as f64;
        let terms = classes.into_iter().map(|class| Term {
            class,
            labelled: labelled[class],
            images: region * images..(region + 1) * images,
            factor,
        });
        terms.collect::<Vec<_>>()
    };
    let regions = pixels.labels.chunks(images * sizes.pixels).enumerate();
    regions.flat_map(of_region).collect()
}

/// The loss of `errors`, in the shape of the scores, and the weight of each: their gradient.
pub(super) fn extension<T: Real>(pixels: &Pixels, errors: &[T], terms: &[Term]) -> (f64, Vec<T>) {
    let mut weights = vec![T::zero(); errors.len()];
    let shared = Shared(weights.as_mut_ptr());
    let losses: Vec<f64> = terms
        .par_iter()
        .map(|term| {
            let sorted = sort(term.entries(pixels, errors));
            // SAFETY: terms have different planes, and the weights outlive them.
            unsafe { term.weigh(&sorted, shared) }
        })
        .collect();
    (losses.into_iter().sum(), weights)
}

impl Term {
    /// The errors of the class, each with its place and whether it is of a pixel of the class.
    fn entries<T: Real>(&self, pixels: &Pixels, errors: &[T]) -> Vec<Entry<T>> {
        let sizes = pixels.sizes;
        let mut entries = vec![Entry::default(); self.images.len() * sizes.pixels];
        let images = entries
            .par_chunks_mut(sizes.pixels)
            .zip(self.images.clone());
        images.for_each(|(entries, image)| {
            let first = image * sizes.image() + self.class * sizes.pixels;
            let labels = &pixels.labels[image * sizes.pixels..][..sizes.pixels];
            let pixels = errors[first..][..sizes.pixels].iter().zip(labels);
            for (i, (entry, (&error, &label))) in entries.iter_mut().zip(pixels).enumerate() {
                *entry = Entry::new(error, first + i, label as usize == self.class);
            }
        });
        entries
    }

    /// Adds up the errors of sorted entries with their weights, which it writes.
    ///
    /// From the largest error on, every pixel is wrong that has been counted: with `i` pixels of the
    /// class left and a union `u`, a pixel of the class takes `1/u` from `i/u`, another one
    /// `i/u - i/(u + 1) = i / (u·(u + 1))`.
    ///
    /// # Safety
    /// Nobody else uses the weights at the entries' places, which are all different.
    unsafe fn weigh<T: Real>(&self, sorted: &[Entry<T>], weights: Shared<T>) -> f64 {
        let chunks = sorted.par_rchunks(CHUNK);
        let hits: Vec<usize> = chunks
            .clone()
            .map(|chunk| chunk.iter().filter(|entry| entry.is_of_class()).count())
            .collect();
        let mut before = 0;
        let starts: Vec<usize> = hits
            .into_iter()
            .map(|hits| {
                before += hits;
                before - hits
            })
            .collect();
        let shares: Vec<f64> = chunks
            .zip(starts)
            .enumerate()
            .map(|(chunk, (entries, hits))| {
                let others = chunk * CHUNK - hits;
                let (mut intersection, mut union) = (self.labelled - hits, self.labelled + others);
                let mut sum = 0.;
                for entry in entries.iter().rev() {
                    let weight = if entry.is_of_class() {
                        intersection -= 1;
                        1. / union as f64
                    } else if union == 0 {
                        // The first pixel that is taken for a class that there is none of.
                        union = 1;
                        1.
                    } else {
                        union += 1;
                        intersection as f64 / ((union - 1) as f64 * union as f64)
                    };
                    let weight = self.factor * weight;
                    sum += weight * entry.error.f64();
                    if entry.error != T::zero() {
                        // SAFETY: as the caller vouches.
                        unsafe { *weights.at(entry.place()) = T::of(weight) };
                    }
                }
                sum
            })
            .collect();
        shares.into_iter().sum()
    }
}
