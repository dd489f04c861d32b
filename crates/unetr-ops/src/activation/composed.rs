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
    let is_negative = if at_zero == 1. {
        xs.lt(0.)?
    } else {
        xs.le(0.)?
    };
    // Not the product alone, as 0 times minus infinity is not a number.
    let negative = match slope == 0. {
        true => xs.zeros_like()?,
        false => (xs * slope)?,
    };
    is_negative.where_cond(&negative, xs)
}
