use candle_core::Result;
use rayon::prelude::*;

use super::{AdamStep, AdamUpdate, OP, readable_gradients};
use crate::cpu::{Real, for_real, min_chunks, vectorised, with_elements, with_elements_mut};

const CHUNK: usize = 16 * 1024;

/// All parameters in one parallel region: threads share the large ones, and take small ones whole.
pub(super) fn adam_steps(updates: &[AdamUpdate<'_>]) -> Result<()> {
    let gradients = readable_gradients(updates)?;
    let pairs = updates.par_iter().zip(&gradients);
    pairs.try_for_each(|(update, gradient)| {
        for_real!(gradient, T => with_elements_mut(OP, update.moments, |moments: &mut [T]| {
            with_elements_mut(OP, update.parameter, |parameter: &mut [T]| {
                with_elements(gradient, |gradient: &[T]| {
                    update_elements(&update.step, parameter, gradient, moments);
                })
            })
        }))
    })
}

/// Moves both moments towards a gradient, and the parameter by them.
fn update_elements<T: Real>(
    step: &AdamStep,
    parameter: &mut [T],
    gradient: &[T],
    moments: &mut [T],
) {
    let (mean, square) = moments.split_at_mut(gradient.len());
    let (keep_mean, keep_square) = (T::of(step.beta1), T::of(step.beta2));
    let scale = T::of(step.gradient_scale);
    let (take_mean, take_square) = (T::of(1. - step.beta1), T::of(1. - step.beta2));
    let (correct_mean, correct_square) = step.bias_corrections();
    // One division for each number.
    let rate = T::of(step.learning_rate / correct_mean);
    let (correct_root, eps) = (T::of(1. / correct_square.sqrt()), T::of(step.eps));
    let keep = T::of(1. - step.learning_rate * step.weight_decay);
    let chunks = parameter
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(mean.par_chunks_mut(CHUNK))
        .zip(square.par_chunks_mut(CHUNK));
    chunks
        .with_min_len(min_chunks(CHUNK))
        .for_each(|(((parameter, gradient), mean), square)| {
            vectorised!({
                let moments = mean.iter_mut().zip(square);
                let elements = parameter.iter_mut().zip(gradient).zip(moments);
                for ((parameter, &gradient), (mean, square)) in elements {
                    let gradient = scale * gradient;
                    *mean = keep_mean * *mean + take_mean * gradient;
                    *square = keep_square * *square + take_square * gradient * gradient;
                    let root = square.sqrt() * correct_root + eps;
                    *parameter = keep * *parameter - rate * *mean / root;
                }
            });
        });
}
