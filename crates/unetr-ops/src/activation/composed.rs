use candle_core::{Result, Tensor};

use super::{Activation, Gelu};

pub(super) fn gelu(xs: &Tensor, formula: Gelu) -> Result<Tensor> {
    match formula {
        Gelu::Erf => {
            // Candle's own `gelu_erf` differentiates with a constant of six digits.
            let cdf = ((xs * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.)?;
            (xs * 0.5)? * cdf
        }
        Gelu::Tanh => {
            // Candle's own `gelu` differentiates the cube with `powf`; products are exact.
            let cube = (xs * xs)?.mul(xs)?;
            let inner = ((xs + (cube * 0.044715)?)? * (2. / std::f64::consts::PI).sqrt())?;
            (xs * 0.5)? * (inner.tanh()? + 1.)?
        }
    }
}

pub(super) fn activation(xs: &Tensor, activation: Activation) -> Result<Tensor> {
    let (slope, at_zero) = activation.negative_slope();
    let positive = if at_zero == 1. {
        xs.ge(0.)?
    } else {
        xs.gt(0.)?
    };
    positive.where_cond(xs, &(xs * slope)?)
}
