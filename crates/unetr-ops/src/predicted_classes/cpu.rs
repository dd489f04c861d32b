use rayon::prelude::*;

use crate::cpu::{Real, vectorised};

/// Pixels whose best class is searched together: they stay in the L1 cache while every class's scores
/// are read once, in order.
const BLOCK: usize = 1024;

/// Blocks that one task should have at least.
const BLOCKS: usize = 16;

/// `[batch, classes, pixels]` to `[batch, pixels]`.
pub(super) fn predicted_classes<T: Real>(logits: &[T], classes: usize, pixels: usize) -> Vec<u32> {
    let mut predictions = vec![0; logits.len() / classes];
    let images = logits.par_chunks(classes * pixels);
    images
        .zip(predictions.par_chunks_mut(pixels))
        .for_each(|(image, predictions)| {
            let blocks = predictions.par_chunks_mut(BLOCK).enumerate();
            blocks
                .with_min_len(BLOCKS)
                .for_each(|(block, predictions)| {
                    let best = &mut [T::zero(); BLOCK][..predictions.len()];
                    predict(image, pixels, block * BLOCK, best, predictions);
                });
        });
    predictions
}

/// Writes the class of highest score, and that score, for pixels from `start` on of an image
/// `[classes, pixels]`.
pub(crate) fn predict<T: Real>(
    image: &[T],
    pixels: usize,
    start: usize,
    best: &mut [T],
    predictions: &mut [u32],
) {
    let count = best.len();
    let plane = |class: usize| &image[class * pixels + start..][..count];
    best.copy_from_slice(plane(0));
    predictions.fill(0);
    vectorised!({
        for class in 1..image.len() / pixels {
            let places = predictions.iter_mut().zip(best.iter_mut());
            for ((prediction, best), &score) in places.zip(plane(class)) {
                let better = score > *best;
                *best = if better { score } else { *best };
                *prediction = if better { class as u32 } else { *prediction };
            }
        }
    });
}
