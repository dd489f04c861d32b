use super::extension::{Term, extension};
use crate::Keep;
use crate::cpu::{BLOCK, Real, vectorised};
use crate::many::{Backward, Operation};
use crate::pixels::Pixels;

#[derive(Debug)]
pub(super) struct LovaszSoftmax {
    pub(super) pixels: Pixels,
    pub(super) terms: Vec<Term>,
}

impl Operation for LovaszSoftmax {
    /// The weights of the errors.
    type Kept<T: Real> = Vec<T>;

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, Vec<T>) {
        // Of ignored pixels they are 0 and come last, where they change nothing.
        let errors = self.pixels.planes(arguments[0], |block, planes| {
            for class in 0..block.sizes.classes {
                let (errors, probabilities) = (planes.class(class), block.softmax.class(class));
                vectorised!({
                    let pixels = errors.iter_mut().zip(probabilities).zip(block.labels);
                    for ((error, &p), &label) in pixels {
                        *error = if label == class as u32 {
                            T::one() - p
                        } else {
                            p
                        };
                    }
                });
            }
        });
        let (loss, weights) = extension(&self.pixels, &errors, &self.terms);
        (vec![T::of(loss)], weights)
    }

    /// `∂loss/∂p` is the weight of the error, negative where `y` is 1; the softmax subtracts its mean
    /// under `p`.
    fn backward<T: Real>(&self, pass: Backward<'_, T, Vec<T>>) -> Vec<Option<Vec<T>>> {
        let (sizes, grad) = (self.pixels.sizes, pass.grads[0]);
        let gradient = self.pixels.planes(pass.arguments[0], |block, planes| {
            let first = block.index * sizes.image() + block.softmax.start;
            let weights =
                |class: usize| &pass.kept[first + class * sizes.pixels..][..block.softmax.count];
            let mut means = [T::zero(); BLOCK];
            for class in 0..sizes.classes {
                let (slopes, weights) = (planes.class(class), weights(class));
                let probabilities = block.softmax.class(class);
                vectorised!({
                    let pixels = slopes.iter_mut().zip(&mut means).zip(block.labels);
                    for (((slope, mean), &label), (&weight, &p)) in
                        pixels.zip(weights.iter().zip(probabilities))
                    {
                        let signed = if label == class as u32 {
                            T::zero() - weight
                        } else {
                            weight
                        };
                        *slope = signed * grad;
                        *mean += p * *slope;
                    }
                });
            }
            for class in 0..sizes.classes {
                let (slopes, probabilities) = (planes.class(class), block.softmax.class(class));
                vectorised!({
                    for ((slope, &mean), &p) in slopes.iter_mut().zip(&means).zip(probabilities) {
                        *slope = p * (*slope - mean);
                    }
                });
            }
        });
        vec![Some(gradient)]
    }
}
