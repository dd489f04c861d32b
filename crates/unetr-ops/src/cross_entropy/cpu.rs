use crate::cpu::{Real, vectorised};
use crate::pixel_loss::{PixelLoss, Totals};
use crate::pixels::{ClassPlanes, PixelBlock, Sizes};

pub(crate) struct CrossEntropy;

impl PixelLoss for CrossEntropy {
    /// That of the pixels' losses.
    const SUMS: usize = 1;

    fn add_sums<T: Real>(&self, block: &PixelBlock<'_, T>, sums: &mut [f64]) {
        let labels = block.labels.iter().enumerate();
        let logits = labels.map(|(i, &label)| block.logit(label as usize, i).f64());
        sums[0] += block.softmax.log_sum() - logits.sum::<f64>();
    }

    fn losses(&self, sums: &[f64], sizes: Sizes) -> Vec<f64> {
        vec![sums[0] / sizes.count() as f64]
    }

    /// `∂loss/∂logit = (p - y) / pixels`
    fn add_gradient<T: Real>(
        &self,
        totals: Totals<'_>,
        block: &PixelBlock<'_, T>,
        result: &mut ClassPlanes<'_, T>,
    ) {
        let scale = T::of(totals.grads[0] / totals.sizes.count() as f64);
        for class in 0..totals.sizes.classes {
            let (result, probabilities) = (result.class(class), block.softmax.class(class));
            vectorised!({
                let pixels = result.iter_mut().zip(probabilities);
                for ((result, &p), &label) in pixels.zip(block.labels) {
                    let y = if label == class as u32 {
                        T::one()
                    } else {
                        T::zero()
                    };
                    *result += (p - y) * scale;
                }
            });
        }
    }
}
