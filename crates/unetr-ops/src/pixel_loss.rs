//! What losses that are functions of sums over the pixels have in common.

use candle_core::{Result, Shape, Tensor};

use crate::Keep;
use crate::cpu::Real;
use crate::many::{self, Backward, Operation};
use crate::pixels::{ClassPlanes, PixelBlock, Pixels, Sizes};

/// A loss that is a function of sums over the pixels, or several of them.
pub(crate) trait PixelLoss: Send + Sync + 'static {
    /// How many sums it is a function of.
    const SUMS: usize;

    /// Adds what a block of pixels contributes to the sums.
    fn add_sums<T: Real>(&self, block: &PixelBlock<'_, T>, sums: &mut [f64]);

    /// The losses from the sums over all pixels, of which there is at least one.
    fn losses(&self, sums: &[f64], sizes: Sizes) -> Vec<f64>;

    /// Adds the gradient of the scores of a block of pixels.
    fn add_gradient<T: Real>(
        &self,
        totals: Totals<'_>,
        block: &PixelBlock<'_, T>,
        result: &mut ClassPlanes<'_, T>,
    );
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

/// The losses of `logits` in a tensor of `shape`; all of them are zero where every pixel is ignored.
pub(crate) fn apply(
    name: &'static str,
    logits: &Tensor,
    pixels: Pixels,
    shape: impl Into<Shape>,
    loss: impl PixelLoss,
) -> Result<Tensor> {
    let shape = shape.into();
    let op = Op {
        loss,
        pixels,
        losses: shape.elem_count(),
    };
    many::apply(name, &[logits], shape, op)
}

struct Op<L> {
    loss: L,
    pixels: Pixels,
    /// How many there are.
    losses: usize,
}

impl<L: PixelLoss> Operation for Op<L> {
    /// The sums.
    type Kept<T: Real> = Vec<f64>;

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, Vec<f64>) {
        if self.pixels.sizes.count() == 0 {
            return (vec![T::zero(); self.losses], Vec::new());
        }
        let shares = self.pixels.sums(arguments[0], L::SUMS, |block, sums| {
            self.loss.add_sums(block, sums);
        });
        let mut sums = vec![0.; L::SUMS];
        for share in shares {
            for (sum, share) in sums.iter_mut().zip(share) {
                *sum += share;
            }
        }
        let losses = self.loss.losses(&sums, self.pixels.sizes);
        (losses.into_iter().map(T::of).collect(), sums)
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, Vec<f64>>) -> Vec<Option<Vec<T>>> {
        if self.pixels.sizes.count() == 0 {
            return vec![Some(vec![T::zero(); pass.arguments[0].len()])];
        }
        let grads: Vec<f64> = pass.grads.iter().map(|grad| grad.f64()).collect();
        let totals = Totals {
            sums: &pass.kept,
            grads: &grads,
            sizes: self.pixels.sizes,
        };
        let gradient = self.pixels.planes(pass.arguments[0], |block, planes| {
            self.loss.add_gradient(totals, block, planes);
        });
        vec![Some(gradient)]
    }
}
