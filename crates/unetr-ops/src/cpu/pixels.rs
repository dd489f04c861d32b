use super::Real;

/// The softmax over the classes of every pixel of one image.
///
/// `logits` is class after class, a plane of pixels each. `visit` gets the pixel, its class
/// probabilities and the logarithm of the sum of its exponentials.
pub(crate) fn for_each_softmax<T: Real>(
    logits: &[T],
    classes: usize,
    mut visit: impl FnMut(usize, &[T], T),
) {
    let pixels = logits.len() / classes;
    let mut probabilities = vec![T::zero(); classes];
    for pixel in 0..pixels {
        let scores = || logits[pixel..].iter().step_by(pixels).copied();
        let largest = scores().fold(T::of(f64::NEG_INFINITY), T::larger);
        let mut total = T::zero();
        for (probability, score) in probabilities.iter_mut().zip(scores()) {
            *probability = (score - largest).exp();
            total += *probability;
        }
        let inverse = T::one() / total;
        for probability in &mut probabilities {
            *probability *= inverse;
        }
        visit(pixel, &probabilities, largest + total.ln());
    }
}
