//! Exponential moving average of a variable's values.

mod composed;
mod cpu;

use candle_core::{Result, Tensor, Var};

use crate::OpError;
use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, value_error};

const OP: &str = "moving_averages";

/// Moves averages towards values in place: `average = keep · average + (1 - keep) · value`.
///
/// Polyak and Juditsky 1992 for parameters of a network (<https://doi.org/10.1137/0330046>).
///
/// # Errors
/// When shapes or types do not fit, or `keep` is not between 0 and 1.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
///
/// let average = Var::zeros(3, DType::F32, &Device::Cpu)?;
/// let value = Tensor::ones(3, DType::F32, &Device::Cpu)?;
/// unetr_ops::moving_averages(&[(&average, &value)], 0.75)?;
/// assert_eq!(average.to_vec1::<f32>()?, [0.25; 3]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn moving_averages(pairs: &[(&Var, &Tensor)], keep: f64) -> Result<()> {
    if !(0. ..=1.).contains(&keep) {
        return Err(value_error(OP, "the share to keep", &keep, "0 to 1"));
    }
    for (average, value) in pairs {
        check_shape(OP, "the value", value, average.shape())?;
        if value.dtype() != average.dtype() {
            return Err(OpError::Type {
                op: OP,
                argument: "the value",
                found: value.dtype(),
                expected: "the average's type",
            }
            .into());
        }
    }
    if pairs.iter().all(|(average, _)| runs_on_cpu(average)) {
        return cpu::moving_averages(pairs, keep);
    }
    #[cfg(feature = "cuda")]
    if fits_cuda(pairs) {
        return crate::cuda::optimizer::moving_averages(pairs, keep);
    }
    pairs
        .iter()
        .try_for_each(|(average, value)| composed::moving_average(average, value, keep))
}

#[cfg(feature = "cuda")]
fn fits_cuda(pairs: &[(&Var, &Tensor)]) -> bool {
    let (averages, values): (Vec<&Tensor>, Vec<&Tensor>) = pairs
        .iter()
        .map(|&(x, value)| (x.as_tensor(), value))
        .unzip();
    crate::cuda::optimizer::fits(&averages, &values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_close, random};

    #[test]
    fn the_kernel_agrees_with_candle() {
        for shape in [[1, 1], [5, 7], [1, 40_000]] {
            let value = random(2, &[shape[1], shape[0]]).t().unwrap();
            let averages = [0, 1].map(|_| Var::from_tensor(&random(1, &shape)).unwrap());
            moving_averages(&[(&averages[0], &value)], 0.9).unwrap();
            composed::moving_average(&averages[1], &value, 0.9).unwrap();
            assert_close("average", &averages[0], &averages[1], 1e-15);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let average = Var::from_tensor(&random(1, &[3])).unwrap();
        let message = |value: &Tensor, keep| {
            let pairs = [(&average, value)];
            moving_averages(&pairs, keep).unwrap_err().to_string()
        };
        assert!(message(&random(1, &[4]), 0.5).contains("the value has shape [4]"));
        assert!(message(&random(1, &[3]), 1.5).contains("the share to keep is 1.5"));
        let single = random(1, &[3]).to_dtype(candle_core::DType::F32).unwrap();
        assert!(message(&single, 0.5).contains("the average's type"));
        let itself = average.as_tensor().copy().unwrap();
        moving_averages(&[(&average, average.as_tensor())], 0.5).unwrap();
        assert_close("average", &average, &itself, 1e-15);
    }
}
