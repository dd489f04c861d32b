use super::JaccardReduction;
use crate::cpu::{Real, sum};
use crate::pixel_loss::{PixelLoss, Pixels};

pub(super) struct SoftJaccard {
    pub(super) reduction: JaccardReduction,
}

/// The intersection and the union of the whole batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overlap {
    intersection: f64,
    union: f64,
}

impl PixelLoss for SoftJaccard {
    type Sums = Overlap;

    fn sums<T: Real>(&self, pixels: &Pixels<'_, T>) -> Overlap {
        let [hits, all] = pixels.sum(|block, _, labels| {
            let hits = labels.iter().enumerate();
            let hits = hits.map(|(i, &label)| block.class(label)[i].f64()).sum();
            let all = (0..pixels.classes).map(|class| sum(block.class(class)));
            [hits, all.sum()]
        });
        // p + y - p·y is 1 where y is 1 and p elsewhere.
        let union = pixels.count() as f64 + (all - hits) + 1e-8 * pixels.elements() as f64;
        Overlap {
            intersection: hits,
            union,
        }
    }

    fn loss<T: Real>(&self, sums: Overlap, pixels: &Pixels<'_, T>) -> f64 {
        let count = match self.reduction {
            JaccardReduction::Mean => pixels.elements() as f64,
            JaccardReduction::Sum => 1.,
        };
        1. - (sums.intersection / count) / (sums.union / count)
    }

    /// `∂loss/∂p` is `a = -1/union` where `y` is 1 and `b = intersection/union²` elsewhere; the
    /// softmax subtracts its mean under `p`: with `h` the probability of the label, `p·(a - b)·(y - h)`.
    fn gradient<T: Real>(&self, sums: Overlap, pixels: &Pixels<'_, T>, scale: f64) -> Vec<T> {
        let of_hit = -scale / sums.union;
        let of_miss = scale * sums.intersection / (sums.union * sums.union);
        let scale = T::of(of_hit - of_miss);
        pixels.gradient(|block, labels, class, result| {
            let pixels = result.iter_mut().zip(block.class(class));
            for ((i, (result, &p)), &label) in pixels.enumerate().zip(labels) {
                let y = if label == class { T::one() } else { T::zero() };
                *result = p * scale * (y - block.class(label)[i]);
            }
        })
    }
}
