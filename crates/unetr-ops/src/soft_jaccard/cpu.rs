use super::JaccardReduction;
use crate::cpu::{Real, sum, vectorised};
use crate::pixel_loss::{PixelLoss, Totals};
use crate::pixels::{ClassPlanes, PixelBlock, Sizes};

pub(crate) struct SoftJaccard {
    pub(crate) reduction: JaccardReduction,
}

/// The intersection and the union of the whole batch.
fn overlap(sums: &[f64], sizes: Sizes) -> (f64, f64) {
    let (hits, all) = (sums[0], sums[1]);
    // p + y - p·y is 1 where y is 1 and p elsewhere.
    let union = sizes.count() as f64 + (all - hits) + 1e-8 * sizes.elements() as f64;
    (hits, union)
}

impl PixelLoss for SoftJaccard {
    /// That of the probabilities of the labels, and that of all probabilities.
    const SUMS: usize = 2;

    fn add_sums<T: Real>(&self, block: &PixelBlock<'_, T>, sums: &mut [f64]) {
        let hits = block.softmax.hits(block.labels);
        sums[0] += hits[..block.labels.len()]
            .iter()
            .map(|hit| hit.f64())
            .sum::<f64>();
        let classes = 0..block.sizes.classes;
        sums[1] += classes
            .map(|class| sum(block.softmax.class(class)))
            .sum::<f64>();
    }

    fn losses(&self, sums: &[f64], sizes: Sizes) -> Vec<f64> {
        let count = match self.reduction {
            JaccardReduction::Mean => sizes.elements() as f64,
            JaccardReduction::Sum => 1.,
        };
        let (intersection, union) = overlap(sums, sizes);
        vec![1. - (intersection / count) / (union / count)]
    }

    /// `∂loss/∂p` is `a = -1/union` where `y` is 1 and `b = intersection/union²` elsewhere; the
    /// softmax subtracts its mean under `p`: with `h` the probability of the label, `p·(a - b)·(y - h)`.
    fn add_gradient<T: Real>(
        &self,
        totals: Totals<'_>,
        block: &PixelBlock<'_, T>,
        result: &mut ClassPlanes<'_, T>,
    ) {
        let (intersection, union) = overlap(totals.sums, totals.sizes);
        let of_hit = -totals.grads[0] / union;
        let of_miss = totals.grads[0] * intersection / (union * union);
        let scale = T::of(of_hit - of_miss);
        let hits = block.softmax.hits(block.labels);
        for class in 0..totals.sizes.classes {
            let (result, probabilities) = (result.class(class), block.softmax.class(class));
            vectorised!({
                let pixels = result.iter_mut().zip(probabilities).zip(&hits);
                for (((result, &p), &hit), &label) in pixels.zip(block.labels) {
                    let y = if label == class as u32 {
                        T::one()
                    } else {
                        T::zero()
                    };
                    *result += p * scale * (y - hit);
                }
            });
        }
    }
}
