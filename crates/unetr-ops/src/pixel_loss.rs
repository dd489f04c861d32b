//! What losses over the pixels of class scores have in common: images in parallel, the softmax of a
//! block of pixels at a time, and a gradient in the shape of the scores.

use candle_core::{Result, Shape, Tensor};
use rayon::prelude::*;

use crate::Keep;
use crate::cpu::{Real, SoftmaxBlock, for_each_softmax};
use crate::labels::class_indices;
use crate::many::{self, Backward, Operation};

/// A loss that is a function of sums over the pixels, or several of them.
pub(crate) trait PixelLoss: Send + Sync + 'static {
    /// How many sums it is a function of.
    const SUMS: usize;

    /// Adds what a block of pixels contributes to the sums.
    fn add_sums<T: Real>(&self, block: &PixelBlock<'_, T>, sums: &mut [f64]);

    /// The losses from the sums over all pixels.
    fn losses(&self, sums: &[f64], sizes: Sizes) -> Vec<f64>;

    /// Adds the gradient of the scores of a block of pixels.
    fn add_gradient<T: Real>(
        &self,
        totals: Totals<'_>,
        block: &PixelBlock<'_, T>,
        result: &mut ClassPlanes<'_, T>,
    );
}

/// Sizes of class scores `[batch, classes, ..]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    batch: usize,
    pub(crate) classes: usize,
    /// Of one image.
    pixels: usize,
}

impl Sizes {
    /// Pixels of all images.
    pub(crate) fn count(self) -> usize {
        self.batch * self.pixels
    }

    /// Pixels and classes of all images.
    pub(crate) fn elements(self) -> usize {
        self.count() * self.classes
    }
}

/// Neighbouring pixels of an image.
pub(crate) struct PixelBlock<'a, T> {
    pub(crate) softmax: SoftmaxBlock<'a, T>,
    /// The class of each pixel.
    pub(crate) labels: &'a [u32],
    pub(crate) sizes: Sizes,
    image: &'a [T],
}

impl<T: Real> PixelBlock<'_, T> {
    /// The score of a class at a pixel.
    pub(crate) fn logit(&self, class: usize, pixel: usize) -> T {
        self.image[class * self.sizes.pixels + self.softmax.start + pixel]
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

/// What a gradient needs to know of all pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals<'a> {
    pub(crate) sums: &'a [f64],
    /// The gradients of the losses.
    pub(crate) grads: &'a [f64],
    pub(crate) sizes: Sizes,
}

/// Two losses from one softmax, each one a single loss.
impl<A: PixelLoss, B: PixelLoss> PixelLoss for (A, B) {
    const SUMS: usize = A::SUMS + B::SUMS;

    fn add_sums<T: Real>(&self, block: &PixelBlock<'_, T>, sums: &mut [f64]) {
        let (first, second) = sums.split_at_mut(A::SUMS);
        self.0.add_sums(block, first);
        self.1.add_sums(block, second);
    }

    fn losses(&self, sums: &[f64], sizes: Sizes) -> Vec<f64> {
        let (first, second) = sums.split_at(A::SUMS);
        [self.0.losses(first, sizes), self.1.losses(second, sizes)].concat()
    }

    fn add_gradient<T: Real>(
        &self,
        totals: Totals<'_>,
        block: &PixelBlock<'_, T>,
        result: &mut ClassPlanes<'_, T>,
    ) {
        let (sums, grads) = (totals.sums.split_at(A::SUMS), totals.grads.split_at(1));
        let part = |sums, grads| Totals {
            sums,
            grads,
            ..totals
        };
        self.0.add_gradient(part(sums.0, grads.0), block, result);
        self.1.add_gradient(part(sums.1, grads.1), block, result);
    }
}

/// The losses of `logits`, whose shape and type and that of `labels` have been checked, in a tensor of
/// `shape`.
pub(crate) fn apply(
    name: &'static str,
    logits: &Tensor,
    labels: &Tensor,
    shape: impl Into<Shape>,
    loss: impl PixelLoss,
) -> Result<Tensor> {
    let (batch, classes) = (logits.dim(0)?, logits.dim(1)?);
    let sizes = Sizes {
        batch,
        classes,
        pixels: logits.elem_count() / (batch * classes),
    };
    let labels = class_indices(name, labels, classes)?;
    let op = Op {
        loss,
        labels,
        sizes,
    };
    many::apply(name, &[logits], shape, op)
}

struct Op<L> {
    loss: L,
    labels: Vec<u32>,
    sizes: Sizes,
}

impl<L: PixelLoss> Op<L> {
    /// Elements of the scores of one image.
    fn image(&self) -> usize {
        self.sizes.classes * self.sizes.pixels
    }

    fn each_block<T: Real>(
        &self,
        image: &[T],
        labels: &[u32],
        mut visit: impl FnMut(PixelBlock<'_, T>),
    ) {
        for_each_softmax(image, self.sizes.classes, |softmax| {
            visit(PixelBlock {
                labels: &labels[softmax.start..][..softmax.count],
                softmax,
                sizes: self.sizes,
                image,
            });
        });
    }
}

impl<L: PixelLoss> Operation for Op<L> {
    /// The sums.
    type Kept<T: Real> = Vec<f64>;

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, Vec<f64>) {
        let images = arguments[0].par_chunks(self.image());
        let shares: Vec<Vec<f64>> = images
            .zip(self.labels.par_chunks(self.sizes.pixels))
            .map(|(image, labels)| {
                let mut share = vec![0.; L::SUMS];
                self.each_block(image, labels, |block| {
                    self.loss.add_sums(&block, &mut share);
                });
                share
            })
            .collect();
        let mut sums = vec![0.; L::SUMS];
        for share in shares {
            for (sum, share) in sums.iter_mut().zip(share) {
                *sum += share;
            }
        }
        let losses = self.loss.losses(&sums, self.sizes);
        (losses.into_iter().map(T::of).collect(), sums)
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, Vec<f64>>) -> Vec<Option<Vec<T>>> {
        let grads: Vec<f64> = pass.grads.iter().map(|grad| grad.f64()).collect();
        let totals = Totals {
            sums: &pass.kept,
            grads: &grads,
            sizes: self.sizes,
        };
        let mut result = vec![T::zero(); pass.arguments[0].len()];
        result
            .par_chunks_mut(self.image())
            .zip(pass.arguments[0].par_chunks(self.image()))
            .zip(self.labels.par_chunks(self.sizes.pixels))
            .for_each(|((result, image), labels)| {
                self.each_block(image, labels, |block| {
                    let mut planes = ClassPlanes {
                        image: result,
                        pixels: self.sizes.pixels,
                        start: block.softmax.start,
                        count: block.softmax.count,
                    };
                    self.loss.add_gradient(totals, &block, &mut planes);
                });
            });
        vec![Some(result)]
    }
}
