//! What losses over the pixels of class scores have in common: images in parallel, and a gradient
//! in the shape of the scores.

use candle_core::{Result, Shape, Tensor, WithDType as _};
use rayon::prelude::*;

use crate::cpu::{Locked, Real, SoftmaxBlock, for_each_softmax, for_real};
use crate::many;

/// Class scores `[batch, classes, ..]` and the class of every pixel.
pub(crate) struct Pixels<'a, T> {
    logits: &'a [T],
    labels: &'a [usize],
    batch: usize,
    pub(crate) classes: usize,
}

/// A loss that is a function of sums over the pixels.
pub(crate) trait PixelLoss: Send + Sync + 'static {
    /// Sums over pixels.
    type Sums: Send + Sync + Copy + 'static;

    fn sums<T: Real>(&self, pixels: &Pixels<'_, T>) -> Self::Sums;

    fn loss<T: Real>(&self, sums: Self::Sums, pixels: &Pixels<'_, T>) -> f64;

    /// The gradient of the scores, times `scale`.
    fn gradient<T: Real>(&self, sums: Self::Sums, pixels: &Pixels<'_, T>, scale: f64) -> Vec<T>;
}

impl<T: Real> Pixels<'_, T> {
    /// Pixels of all images.
    pub(crate) fn count(&self) -> usize {
        self.labels.len()
    }

    /// Pixels and classes of all images.
    pub(crate) fn elements(&self) -> usize {
        self.logits.len()
    }

    /// Adds up what `term` gives for every block of pixels, with the scores of its image and the
    /// labels of the block.
    pub(crate) fn sum<const N: usize>(
        &self,
        term: impl Fn(&SoftmaxBlock<'_, T>, &[T], &[usize]) -> [f64; N] + Sync,
    ) -> [f64; N] {
        let image = self.logits.len() / self.batch;
        let images = self.logits.par_chunks(image);
        let shares: Vec<[f64; N]> = images
            .zip(self.labels.par_chunks(image / self.classes))
            .map(|(logits, labels)| {
                let mut share = [0.; N];
                for_each_softmax(logits, self.classes, |block| {
                    let labels = &labels[block.start..][..block.count];
                    add(&mut share, term(&block, logits, labels));
                });
                share
            })
            .collect();
        let mut total = [0.; N];
        for share in shares {
            add(&mut total, share);
        }
        total
    }

    /// The gradient, which `fill` writes for one class of one block of pixels, given their labels.
    pub(crate) fn gradient(
        &self,
        fill: impl Fn(&SoftmaxBlock<'_, T>, &[usize], usize, &mut [T]) + Sync,
    ) -> Vec<T> {
        let image = self.logits.len() / self.batch;
        let pixels = image / self.classes;
        let mut result = vec![T::zero(); self.logits.len()];
        result
            .par_chunks_mut(image)
            .zip(self.logits.par_chunks(image))
            .zip(self.labels.par_chunks(pixels))
            .for_each(|((result, logits), labels)| {
                for_each_softmax(logits, self.classes, |block| {
                    let labels = &labels[block.start..][..block.count];
                    for (class, plane) in result.chunks_exact_mut(pixels).enumerate() {
                        fill(
                            &block,
                            labels,
                            class,
                            &mut plane[block.start..][..block.count],
                        );
                    }
                });
            });
        result
    }
}

fn add<const N: usize>(sums: &mut [f64; N], terms: [f64; N]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += term;
    }
}

/// The loss as a scalar in Candle's graph.
pub(crate) fn apply<L: PixelLoss>(
    name: &'static str,
    logits: &Tensor,
    labels: Vec<usize>,
    loss: L,
) -> Result<Tensor> {
    let arguments = [logits.contiguous()?];
    let locked = Locked::new(&arguments);
    for_real!(logits, T => {
        let pixels = pixels::<T>(&arguments[0], locked.elements()?[0], &labels)?;
        let sums = loss.sums(&pixels);
        let value = T::of(loss.loss(sums, &pixels));
        drop(locked);
        let result = (T::to_cpu_storage_owned(vec![value]), Shape::from(()));
        many::node(name, &arguments, result, Node { loss, sums, labels })
    })
}

fn pixels<'a, T: Real>(
    logits: &Tensor,
    values: &'a [T],
    labels: &'a [usize],
) -> Result<Pixels<'a, T>> {
    Ok(Pixels {
        logits: values,
        labels,
        batch: logits.dim(0)?,
        classes: logits.dim(1)?,
    })
}

struct Node<L: PixelLoss> {
    loss: L,
    sums: L::Sums,
    labels: Vec<usize>,
}

impl<L: PixelLoss> many::Backward for Node<L> {
    fn backward(
        &self,
        arguments: &[Tensor],
        _wanted: &[bool],
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let grads = [grad.clone()];
        let (locked, locked_grads) = (Locked::new(arguments), Locked::new(&grads));
        for_real!(grad, T => {
            let pixels = pixels::<T>(&arguments[0], locked.elements()?[0], &self.labels)?;
            let scale = locked_grads.elements::<T>()?[0][0].f64();
            let gradient = self.loss.gradient(self.sums, &pixels, scale);
            Ok(vec![Some(Tensor::from_vec(gradient, arguments[0].shape(), grad.device())?)])
        })
    }
}
