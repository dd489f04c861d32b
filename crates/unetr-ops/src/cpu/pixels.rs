use super::{Real, sum, vectorised};

/// Pixels whose softmax is computed together.
pub(crate) const BLOCK: usize = 128;

/// The softmax over the classes of some neighbouring pixels.
pub(crate) struct SoftmaxBlock<'a, T> {
    /// The first pixel.
    pub(crate) start: usize,
    /// The number of pixels.
    pub(crate) count: usize,
    probabilities: &'a [T],
    largest: &'a [T],
    totals: &'a [T],
}

impl<T: Real> SoftmaxBlock<'_, T> {
    /// The probabilities of a class.
    pub(crate) fn class(&self, class: usize) -> &[T] {
        &self.probabilities[class * BLOCK..][..self.count]
    }

    /// The probability of each pixel's label, zero where the label is no class, then zeros.
    pub(crate) fn hits(&self, labels: &[u32]) -> [T; BLOCK] {
        let mut hits = [T::zero(); BLOCK];
        for (i, (hit, &label)) in hits.iter_mut().zip(labels).enumerate() {
            let probability = self.probabilities.get(label as usize * BLOCK + i);
            *hit = probability.copied().unwrap_or_default();
        }
        hits
    }

    /// The highest score of each pixel.
    pub(crate) fn largest(&self) -> &[T] {
        &self.largest[..self.count]
    }

    /// The logarithm of each pixel's sum of exponentials, relative to its highest score; then zeros.
    pub(crate) fn log_totals(&self) -> [T; BLOCK] {
        let mut logarithms = [T::zero(); BLOCK];
        vectorised!({
            for (logarithm, &total) in logarithms.iter_mut().zip(&self.totals[..self.count]) {
                *logarithm = total.ln();
            }
        });
        logarithms
    }

    /// The sum over the pixels of the logarithm of the sum of their exponentials: one logarithm for
    /// several pixels, whose sums are between 1 and the number of classes.
    pub(crate) fn log_sum(&self) -> f64 {
        let totals = self.totals[..self.count].chunks(16);
        let logarithms = totals.map(|totals| totals.iter().map(|x| x.f64()).product::<f64>().ln());
        sum(&self.largest[..self.count]) + logarithms.sum::<f64>()
    }
}

/// Visits the pixels of one image, whose `logits` are class after class, a plane of pixels each. Where
/// `mask` has no class, all probabilities are zero, as if the pixel were not there.
pub(crate) fn for_each_softmax<T: Real>(
    logits: &[T],
    classes: usize,
    mask: Option<&[u32]>,
    mut visit: impl FnMut(SoftmaxBlock<'_, T>),
) {
    let pixels = logits.len() / classes;
    let mut probabilities = vec![T::zero(); classes * BLOCK];
    let (mut largest, mut totals) = ([T::zero(); BLOCK], [T::zero(); BLOCK]);
    for start in (0..pixels).step_by(BLOCK) {
        let count = BLOCK.min(pixels - start);
        let plane = |class: usize| &logits[class * pixels + start..][..count];
        vectorised!({
            largest.fill(T::of(f64::NEG_INFINITY));
            totals.fill(T::zero());
            for class in 0..classes {
                for (largest, &logit) in largest.iter_mut().zip(plane(class)) {
                    *largest = largest.larger(logit);
                }
            }
            for (class, probabilities) in probabilities.chunks_exact_mut(BLOCK).enumerate() {
                let pixels = probabilities.iter_mut().zip(&mut totals);
                for (((probability, total), &largest), &logit) in
                    pixels.zip(&largest).zip(plane(class))
                {
                    *probability = (logit - largest).exp();
                    *total += *probability;
                }
            }
            for probabilities in probabilities.chunks_exact_mut(BLOCK) {
                for (probability, &total) in probabilities[..count].iter_mut().zip(&totals) {
                    *probability *= T::one() / total;
                }
            }
        });
        for (i, &label) in mask
            .iter()
            .flat_map(|mask| &mask[start..][..count])
            .enumerate()
        {
            if label as usize >= classes {
                (largest[i], totals[i]) = (T::zero(), T::one());
                let pixel = probabilities.iter_mut().skip(i).step_by(BLOCK);
                pixel.for_each(|probability| *probability = T::zero());
            }
        }
        visit(SoftmaxBlock {
            start,
            count,
            probabilities: &probabilities,
            largest: &largest,
            totals: &totals,
        });
    }
}
