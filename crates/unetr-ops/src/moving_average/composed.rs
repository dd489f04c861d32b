use candle_core::{Result, Tensor, Var};

/// From Candle's operations, on any device.
pub(super) fn moving_average(average: &Var, value: &Tensor, keep: f64) -> Result<()> {
    let kept = (average.as_detached_tensor() * keep)?;
    average.set(&(kept + (value.detach() * (1. - keep))?)?)
}
