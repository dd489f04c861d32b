//! Updates of variables in place.

use candle_core::{DType, Result, Tensor};

use super::{Array, Launch, args, launch};
use crate::{AdamStep, AdamUpdate};

/// Whether the kernels take these: f32 without gaps.
pub(crate) fn fits(tensors: &[&Tensor]) -> bool {
    let fits = |x: &&Tensor| x.device().is_cuda() && x.dtype() == DType::F32 && x.is_contiguous();
    tensors.iter().all(fits)
}

/// One step of Adam; both corrections of the means are in `corrections`.
pub(crate) fn adam(update: &AdamUpdate<'_>, corrections: (f64, f64)) -> Result<()> {
    let (parameter, gradient) = (Array::of(update.parameter)?, Array::of(update.gradient)?);
    let moments = Array::of(update.moments)?;
    let AdamStep {
        learning_rate,
        beta1,
        beta2,
        eps,
        gradient_scale,
        weight_decay,
        ..
    } = update.step;
    let args = args![
        &parameter,
        &gradient,
        &moments.at(0),
        &moments.at(1),
        parameter.count() as i64,
        learning_rate,
        beta1,
        beta2,
        eps,
        gradient_scale,
        weight_decay,
        corrections.0,
        corrections.1
    ];
    launch(
        parameter.device(),
        "optimizer",
        "adam",
        Launch::each(parameter.count()),
        args,
    )
}

/// `average = keep · average + (1 - keep) · value`
pub(crate) fn moving_average(average: &Tensor, value: &Tensor, keep: f64) -> Result<()> {
    let (average, value) = (Array::of(average)?, Array::of(value)?);
    let args = args![&average, &value, average.count() as i64, keep];
    launch(
        average.device(),
        "optimizer",
        "moving_average",
        Launch::each(average.count()),
        args,
    )
}
