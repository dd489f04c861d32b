use crate::cpu::{BLOCK, Real, vectorised};
use crate::pixel_loss::{PixelLoss, Totals};
use crate::pixels::{ClassPlanes, PixelBlock, Sizes};

#[derive(Debug)]
pub(super) struct Focal {
    pub(super) gamma: f64,
    /// Of every class, then a zero for pixels that are ignored.
    pub(super) weights: Vec<f64>,
}

/// Of each pixel of a block, then numbers that nobody reads.
struct Terms<T> {
    /// `-log p`
    losses: [T; BLOCK],
    /// `1 - p`
    misses: [T; BLOCK],
    /// `(1 - p)^gamma`
    powers: [T; BLOCK],
}

impl Focal {
    fn terms<T: Real>(&self, block: &PixelBlock<'_, T>) -> Terms<T> {
        let losses = block.negative_log_likelihoods(&block.softmax.log_totals());
        let (mut misses, mut powers) = ([T::zero(); BLOCK], [T::zero(); BLOCK]);
        // The sum of the others: 1 - p would lose what is left where p is almost 1.
        for class in 0..block.sizes.classes {
            let probabilities = block.softmax.class(class);
            vectorised!({
                let pixels = misses.iter_mut().zip(probabilities);
                for ((miss, &p), &label) in pixels.zip(block.labels) {
                    *miss += if label == class as u32 { T::zero() } else { p };
                }
            });
        }
        let (gamma, least) = (T::of(self.gamma), T::of(f64::from(f32::MIN_POSITIVE)));
        vectorised!({
            for (power, miss) in powers.iter_mut().zip(&mut misses) {
                *miss = miss.larger(least);
                *power = (gamma * miss.ln()).exp();
            }
        });
        Terms {
            losses,
            misses,
            powers,
        }
    }
}

impl PixelLoss for Focal {
    /// That of the pixels' losses.
    const SUMS: usize = 1;

    fn add_sums<T: Real>(&self, block: &PixelBlock<'_, T>, sums: &mut [f64]) {
        let terms = self.terms(block);
        let pixels = terms.losses.iter().zip(&terms.powers).zip(block.labels);
        let losses = pixels
            .map(|((&loss, &power), &label)| self.weights[label as usize] * (loss * power).f64());
        sums[0] += losses.sum::<f64>();
    }

    fn losses(&self, sums: &[f64], sizes: Sizes) -> Vec<f64> {
        vec![sums[0] / sizes.count() as f64]
    }

    /// With `q = 1 - p` of the label, `∂loss/∂logit = w·(gamma·p·q^(gamma-1)·-log p + q^gamma)·(p - y)
    /// / pixels`.
    fn add_gradient<T: Real>(
        &self,
        totals: Totals<'_>,
        block: &PixelBlock<'_, T>,
        result: &mut ClassPlanes<'_, T>,
    ) {
        let scale = totals.grads[0] / totals.sizes.count() as f64;
        let terms = self.terms(block);
        let hits = block.softmax.hits(block.labels);
        let (mut factors, gamma) = ([T::zero(); BLOCK], T::of(self.gamma));
        for (factor, &label) in factors.iter_mut().zip(block.labels) {
            *factor = T::of(scale * self.weights[label as usize]);
        }
        vectorised!({
            for i in 0..BLOCK {
                let slope = gamma * hits[i] * terms.losses[i] / terms.misses[i];
                factors[i] *= terms.powers[i] * (slope + T::one());
            }
        });
        for class in 0..totals.sizes.classes {
            let (result, probabilities) = (result.class(class), block.softmax.class(class));
            vectorised!({
                let pixels = result.iter_mut().zip(probabilities).zip(&factors);
                for (((result, &p), &factor), &label) in pixels.zip(block.labels) {
                    let y = if label == class as u32 {
                        T::one()
                    } else {
                        T::zero()
                    };
                    *result += factor * (p - y);
                }
            });
        }
    }
}
