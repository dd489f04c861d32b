use crate::Keep;
use crate::cpu::{BLOCK, Real, sum, vectorised};
use crate::many::{Backward, Operation};
use crate::pixels::Pixels;

#[derive(Debug)]
pub(super) struct SoftCounts {
    pub(super) pixels: Pixels,
}

impl Operation for SoftCounts {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        let classes = self.pixels.sizes.classes;
        let images = self.pixels.sums(arguments[0], 3 * classes, |block, sums| {
            let (hits, sums) = sums.split_at_mut(classes);
            let (predicted, labelled) = sums.split_at_mut(classes);
            for (class, predicted) in predicted.iter_mut().enumerate() {
                *predicted += sum(block.softmax.class(class));
            }
            let probabilities = block.softmax.hits(block.labels);
            for (p, &label) in probabilities.iter().zip(block.labels) {
                let class = label as usize;
                if class < classes {
                    hits[class] += p.f64();
                    labelled[class] += 1.;
                }
            }
        });
        let kinds = (0..3).flat_map(|kind| {
            let of_kind = kind * classes..(kind + 1) * classes;
            images.iter().flat_map(move |image| &image[of_kind.clone()])
        });
        (kinds.map(|&sum| T::of(sum)).collect(), ())
    }

    /// `∂/∂p` is `b = ∂/∂predicted`, and `a = ∂/∂hits` more where `y` is 1; the softmax subtracts its
    /// mean under `p`.
    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        let (classes, all) = (self.pixels.sizes.classes, pass.grads.len() / 3);
        let gradient = self.pixels.planes(pass.arguments[0], |block, planes| {
            let of_image =
                |kind: usize| &pass.grads[kind * all + block.index * classes..][..classes];
            let (of_hits, of_predicted) = (of_image(0), of_image(1));
            let (mut means, mut hits) = ([T::zero(); BLOCK], block.softmax.hits(block.labels));
            for (hit, &label) in hits.iter_mut().zip(block.labels) {
                *hit *= of_hits.get(label as usize).copied().unwrap_or_default();
            }
            for (class, &of_predicted) in of_predicted.iter().enumerate() {
                let probabilities = block.softmax.class(class);
                vectorised!({
                    for (mean, &p) in means.iter_mut().zip(probabilities) {
                        *mean += p * of_predicted;
                    }
                });
            }
            vectorised!({
                for (mean, &hit) in means.iter_mut().zip(&hits) {
                    *mean += hit;
                }
            });
            for class in 0..classes {
                let (result, probabilities) = (planes.class(class), block.softmax.class(class));
                let (of_hit, of_miss) = (of_predicted[class] + of_hits[class], of_predicted[class]);
                vectorised!({
                    let pixels = result.iter_mut().zip(probabilities).zip(&means);
                    for (((result, &p), &mean), &label) in pixels.zip(block.labels) {
                        let slope = if label == class as u32 {
                            of_hit
                        } else {
                            of_miss
                        };
                        *result = p * (slope - mean);
                    }
                });
            }
        });
        vec![Some(gradient)]
    }
}
