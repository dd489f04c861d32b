use crate::cpu::{BLOCK, Real, vectorised};
use crate::pixel_loss::{PixelLoss, Totals};
use crate::pixels::{ClassPlanes, PixelBlock, Sizes};

/// With weights of the classes and smoothed labels.
#[derive(Debug)]
pub(crate) struct WeightedCrossEntropy {
    /// Of every class, then a zero for pixels that are ignored.
    pub(crate) weights: Vec<f64>,
    pub(crate) smoothing: f64,
}

impl WeightedCrossEntropy {
    fn weight(&self, label: u32) -> f64 {
        self.weights[label as usize]
    }

    /// Of the smoothed part, a class.
    fn share(&self, sizes: Sizes) -> f64 {
        self.smoothing / sizes.classes as f64
    }
}

impl PixelLoss for WeightedCrossEntropy {
    /// Those of the weighted losses of the labels, of their weights, and of the weighted losses of
    /// all classes.
    const SUMS: usize = 3;

    fn add_sums<T: Real>(&self, block: &PixelBlock<'_, T>, sums: &mut [f64]) {
        let log_totals = block.softmax.log_totals();
        let losses = block.negative_log_likelihoods(&log_totals);
        for (loss, &label) in losses.iter().zip(block.labels) {
            sums[0] += self.weight(label) * loss.f64();
            sums[1] += self.weight(label);
        }
        if self.smoothing == 0. {
            return;
        }
        let mut all = [T::zero(); BLOCK];
        for (class, &weight) in self.weights[..block.sizes.classes].iter().enumerate() {
            let (logits, weight) = (block.logits(class), T::of(weight));
            vectorised!({
                let totals = log_totals.iter().zip(block.softmax.largest());
                for ((sum, (&log_total, &largest)), &logit) in
                    all.iter_mut().zip(totals).zip(logits)
                {
                    *sum += weight * (log_total + (largest - logit));
                }
            });
        }
        let valid = all.iter().zip(block.labels);
        let valid = valid.filter(|&(_, &label)| (label as usize) < block.sizes.classes);
        sums[2] += valid.map(|(sum, _)| sum.f64()).sum::<f64>();
    }

    fn losses(&self, sums: &[f64], sizes: Sizes) -> Vec<f64> {
        let loss = (1. - self.smoothing) * sums[0] + self.share(sizes) * sums[2];
        vec![if sums[1] > 0. { loss / sums[1] } else { 0. }]
    }

    /// With `w` the weight of the label, `v` that of the class and `V` the sum of all weights,
    /// `∂loss/∂logit = ((1 - smoothing)·w·(p - y) + smoothing/classes·(V·p - v)) / Σ w`.
    fn add_gradient<T: Real>(
        &self,
        totals: Totals<'_>,
        block: &PixelBlock<'_, T>,
        result: &mut ClassPlanes<'_, T>,
    ) {
        if totals.sums[1] == 0. {
            return;
        }
        let scale = totals.grads[0] / totals.sums[1];
        let smoothed = scale * self.share(totals.sizes);
        let all: f64 = self.weights.iter().sum();
        // Of y, of p and of v.
        let (mut of_label, mut of_all) = ([T::zero(); BLOCK], [T::zero(); BLOCK]);
        let mut of_class = [T::zero(); BLOCK];
        for (i, &label) in block.labels.iter().enumerate() {
            let weight = (1. - self.smoothing) * scale * self.weight(label);
            of_label[i] = T::of(weight);
            of_all[i] = T::of(weight + smoothed * all);
            if (label as usize) < totals.sizes.classes {
                of_class[i] = T::of(smoothed);
            }
        }
        for (class, &weight) in self.weights[..totals.sizes.classes].iter().enumerate() {
            let (result, probabilities) = (result.class(class), block.softmax.class(class));
            let weight = T::of(weight);
            vectorised!({
                let factors = of_label.iter().zip(&of_all).zip(&of_class);
                let pixels = result.iter_mut().zip(probabilities).zip(block.labels);
                for (((result, &p), &label), ((&of_label, &of_all), &of_class)) in
                    pixels.zip(factors)
                {
                    let y = if label == class as u32 {
                        of_label
                    } else {
                        T::zero()
                    };
                    *result += p * of_all - y - weight * of_class;
                }
            });
        }
    }
}
