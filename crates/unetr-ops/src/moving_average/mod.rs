//! Exponential moving average of a variable's values.

mod composed;
mod cpu;

use std::collections::HashMap;

use candle_core::{Result, Tensor, Var};

use crate::OpError;
use crate::cpu::{runs_on_cpu, storage_of};
use crate::error::{check_shape, value_error};

const OP: &str = "moving_averages";

/// Moves averages towards values in place: `average = keep · average + (1 - keep) · value`.
///
/// Where an average is there twice, or is the value of another one, pairs follow each other.
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
    if depend_on_each_other(pairs) {
        let alone = |pair| moving_averages(std::slice::from_ref(pair), keep);
        return pairs.iter().try_for_each(alone);
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

/// Whether what one pair writes to is read or written by another.
fn depend_on_each_other(pairs: &[(&Var, &Tensor)]) -> bool {
    let mut written = HashMap::new();
    for (index, (average, _)) in pairs.iter().enumerate() {
        if written.insert(storage_of(average), index).is_some() {
            return true;
        }
    }
    let mut values = pairs.iter().enumerate();
    values.any(|(index, (_, value))| {
        let written = written.get(&storage_of(value));
        written.is_some_and(|&other| other != index)
    })
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
    fn pairs_that_depend_on_each_other_follow_each_other() {
        // Long enough for several threads.
        let shape = [200_000];
        let var = |seed| Var::from_tensor(&random(seed, &shape)).unwrap();
        let [a, b, c] = [1, 2, 3].map(var);
        let pairs: [(&Var, &Tensor); 4] = [(&a, &b), (&b, &a), (&c, &a), (&c, &b)];
        moving_averages(&pairs, 0.75).unwrap();
        let found = [&a, &b, &c].map(|average| average.as_tensor().copy().unwrap());

        let [a, b, c] = [1, 2, 3].map(var);
        for (average, value) in [(&a, &b), (&b, &a), (&c, &a), (&c, &b)] {
            composed::moving_average(average, value, 0.75).unwrap();
        }
        let expected = [a, b, c];
        for (found, expected) in found.iter().zip(&expected) {
            assert_close("average", found, expected, 1e-15);
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
