use candle_core::{Result, Tensor};

use super::extension::{Term, extension};
use super::{LovaszConfig, OP};
use crate::cpu::for_real;
use crate::labels::DeviceLabels;
use crate::pixels::Pixels;

/// The order of the errors is found on the host, where a sort of any length is at hand; the weights
/// that follow from it are constants to Candle, as they are to the gradient.
pub(super) fn lovasz_softmax(
    logits: &Tensor,
    labels: &Tensor,
    config: &LovaszConfig,
    terms: &[Term],
) -> Result<Tensor> {
    let pixels = Pixels::new(OP, logits, labels, config.ignore_index)?;
    let labels = DeviceLabels::new(logits, labels, config.ignore_index)?;
    let one_hot = labels.one_hot(logits)?;
    let valid = labels.valid.unsqueeze(1)?;
    let probabilities =
        candle_nn::ops::softmax(&labels.scores(logits)?, 1)?.broadcast_mul(&valid)?;
    let errors = (one_hot - probabilities)?.abs()?;
    // host sync: reads the errors
    let values = errors.detach().flatten_all()?;
    let weights = for_real!(values, T => {
        let (_, weights) = extension(&pixels, &values.to_vec1::<T>()?, terms);
        Tensor::from_vec(weights, errors.shape(), errors.device())?
    });
    (errors * weights)?.sum_all()
}
