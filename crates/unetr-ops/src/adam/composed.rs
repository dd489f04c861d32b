use candle_core::{Result, Tensor};

use super::AdamUpdate;

pub(super) fn adam_step(update: &AdamUpdate<'_>) -> Result<()> {
    let AdamUpdate {
        parameter,
        moments,
        step,
        ..
    } = update;
    let gradient = (update.gradient.detach() * step.gradient_scale)?;
    let mean = ((moments.get(0)? * step.beta1)? + (&gradient * (1. - step.beta1))?)?;
    let square = ((moments.get(1)? * step.beta2)? + (gradient.sqr()? * (1. - step.beta2))?)?;
    let (correct_mean, correct_square) = step.bias_corrections();
    let root = ((&square / correct_square)?.sqrt()? + step.eps)?;
    let update = ((&mean / correct_mean)? / root)?;
    let decayed = (parameter.as_tensor() * (1. - step.learning_rate * step.weight_decay))?;
    parameter.set(&(decayed - (update * step.learning_rate)?)?)?;
    moments.set(&Tensor::stack(&[mean, square], 0)?)
}
