//! The pixels of class scores on the CPU: images in parallel, a softmax of a block of pixels at a time.
//! Pixels that are ignored have a label that is no class, and no probability.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::cpu::{BLOCK, Real, SoftmaxBlock, for_each_softmax, vectorised};
use crate::labels::class_indices;

/// Sizes of class scores `[batch, classes, ..]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) classes: usize,
    /// Of one image.
    pub(crate) pixels: usize,
    /// Pixels of all images that are not ignored.
    valid: usize,
}

impl Sizes {
    /// Pixels of all images that are not ignored.
    pub(crate) fn count(self) -> usize {
        self.valid
    }

    /// Pixels that are not ignored and classes of all images.
    pub(crate) fn elements(self) -> usize {
        self.count() * self.classes
    }

    /// Scores of one image.
    pub(crate) fn image(self) -> usize {
        self.classes * self.pixels
    }
}

/// Labels and sizes of a batch.
#[derive(Debug)]
pub(crate) struct Pixels {
    /// `classes` where a pixel is ignored.
    pub(crate) labels: Vec<u32>,
    pub(crate) sizes: Sizes,
}

/// Neighbouring pixels of an image.
pub(crate) struct PixelBlock<'a, T> {
    pub(crate) softmax: SoftmaxBlock<'a, T>,
    /// The class of each pixel.
    pub(crate) labels: &'a [u32],
    pub(crate) sizes: Sizes,
    /// Where the image stands in the batch.
    pub(crate) index: usize,
    image: &'a [T],
}

impl<T: Real> PixelBlock<'_, T> {
    /// The scores of a class.
    pub(crate) fn logits(&self, class: usize) -> &[T] {
        &self.image[class * self.sizes.pixels + self.softmax.start..][..self.softmax.count]
    }

    /// The score of a class at a pixel, zero if there is no such class.
    pub(crate) fn logit(&self, class: usize, pixel: usize) -> T {
        let place = class * self.sizes.pixels + self.softmax.start + pixel;
        self.image.get(place).copied().unwrap_or_default()
    }

    /// `-log p` of each pixel's label, given [`SoftmaxBlock::log_totals`]; zero where it is ignored,
    /// then zeros.
    pub(crate) fn negative_log_likelihoods(&self, log_totals: &[T; BLOCK]) -> [T; BLOCK] {
        let mut scores = [T::zero(); BLOCK];
        for (i, (score, &label)) in scores.iter_mut().zip(self.labels).enumerate() {
            *score = self.logit(label as usize, i);
        }
        vectorised!({
            let totals = log_totals.iter().zip(self.softmax.largest());
            for (score, (&log_total, &largest)) in scores.iter_mut().zip(totals) {
                // In this order nothing cancels where the label has the highest score.
                *score = log_total + (largest - *score);
            }
        });
        scores
    }
}

/// Where the gradient of a block of pixels is written to.
pub(crate) struct ClassPlanes<'a, T> {
    image: &'a mut [T],
    pixels: usize,
    start: usize,
    count: usize,
}

impl<T> ClassPlanes<'_, T> {
    /// The gradient of a class's scores.
    pub(crate) fn class(&mut self, class: usize) -> &mut [T] {
        &mut self.image[class * self.pixels + self.start..][..self.count]
    }
}

impl Pixels {
    /// Those of `logits`, whose shape and type and that of `labels` have been checked.
    pub(crate) fn new(
        op: &'static str,
        logits: &Tensor,
        labels: &Tensor,
        ignore_index: Option<u32>,
    ) -> Result<Self> {
        let (batch, classes) = (logits.dim(0)?, logits.dim(1)?);
        let labels = class_indices(op, labels, classes, ignore_index)?;
        let ignored = match ignore_index {
            Some(_) => labels
                .iter()
                .filter(|&&label| label as usize == classes)
                .count(),
            None => 0,
        };
        let sizes = Sizes {
            batch,
            classes,
            pixels: labels.len() / batch,
            valid: labels.len() - ignored,
        };
        Ok(Self { labels, sizes })
    }

    /// Visits the blocks of an image.
    fn each_block<T: Real>(
        &self,
        index: usize,
        image: &[T],
        mut visit: impl FnMut(PixelBlock<'_, T>),
    ) {
        let sizes = self.sizes;
        let labels = &self.labels[index * sizes.pixels..][..sizes.pixels];
        let mask = (sizes.valid < self.labels.len()).then_some(labels);
        for_each_softmax(image, sizes.classes, mask, |softmax| {
            visit(PixelBlock {
                labels: &labels[softmax.start..][..softmax.count],
                softmax,
                sizes,
                index,
                image,
            });
        });
    }

    /// So many sums over the pixels of each image.
    pub(crate) fn sums<T: Real>(
        &self,
        logits: &[T],
        count: usize,
        add: impl Fn(&PixelBlock<'_, T>, &mut [f64]) + Sync,
    ) -> Vec<Vec<f64>> {
        let images = logits.par_chunks(self.sizes.image()).enumerate();
        images
            .map(|(index, image)| {
                let mut sums = vec![0.; count];
                self.each_block(index, image, |block| add(&block, &mut sums));
                sums
            })
            .collect()
    }

    /// Numbers in the shape of the scores, zero before `add`: their gradient, for one.
    pub(crate) fn planes<T: Real>(
        &self,
        logits: &[T],
        add: impl Fn(&PixelBlock<'_, T>, &mut ClassPlanes<'_, T>) + Sync,
    ) -> Vec<T> {
        let mut result = vec![T::zero(); logits.len()];
        let images = logits.par_chunks(self.sizes.image()).enumerate();
        result
            .par_chunks_mut(self.sizes.image())
            .zip(images)
            .for_each(|(result, (index, image))| {
                self.each_block(index, image, |block| {
                    let mut planes = ClassPlanes {
                        image: result,
                        pixels: self.sizes.pixels,
                        start: block.softmax.start,
                        count: block.softmax.count,
                    };
                    add(&block, &mut planes);
                });
            });
        result
    }
}
