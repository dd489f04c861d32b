use std::cell::Cell;
use std::fmt;

use candle_core::{DType, Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::scope;

/// In what numbers matrices are multiplied. What is added up, parameters, gradients and everything
/// that is not a product of matrices stay as they are. See [`with_precision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// As they are, f32 as a rule.
    #[default]
    #[serde(rename = "f32", alias = "full")]
    Full,
    /// f32 rounded to TF32, 11 bits of precision, on the matrix units of a GPU.
    Tf32,
    /// Rounded to bfloat16: 8 bits of precision and the range of f32. On processors with AVX512_BF16 matrices
    /// are multiplied in it, and on those with matrix units (AMX, under Linux) convolutions too. On a GPU, what
    /// operations hand to each other is stored in it too.
    Bf16,
    /// Rounded to f16 on a GPU, and stored in it: 11 bits of precision, but nothing beyond 65,504 or
    /// below 6e-8, so that gradients want a scaled loss.
    F16,
}

impl Precision {
    /// Whether a device computes in these numbers; one that does not computes as with
    /// [`Precision::Full`].
    pub fn is_supported(self, device: &Device) -> bool {
        match self {
            Self::Full => true,
            _ if device.is_cuda() => true,
            Self::Bf16 => device.is_cpu() && crate::cpu::supports_bf16(),
            Self::Tf32 | Self::F16 => false,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::Full) };
}

/// Runs `f`, whose operations multiply matrices in this precision, and their backward passes too: mixed
/// precision as in `torch.autocast`, where parameters and everything else stay in f32 (Micikevicius et
/// al. 2018, <https://arxiv.org/abs/1710.03740>; for bfloat16 Kalamkar et al. 2019,
/// <https://arxiv.org/abs/1905.12322>). On the CPU it concerns tensors of f32.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{Precision, linear, with_precision};
///
/// let (xs, weight) = (Tensor::rand(0f32, 1., (4, 8), &Device::Cpu)?, Tensor::ones((2, 8), DType::F32, &Device::Cpu)?);
/// let exact = linear(&xs, &weight, None)?;
/// let rounded = with_precision(Precision::Bf16, || linear(&xs, &weight, None))?;
/// let off = (exact - rounded)?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(off < 0.03);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn with_precision<R>(precision: Precision, f: impl FnOnce() -> R) -> R {
    scope::with(&CURRENT, precision, f)
}

/// Numbers of 16 bits in f32, others as they are: for operations that have no kernels for them, and for sums, as f16 ends
/// at 65504 and bf16 counts to 256.
///
/// # Errors
/// When Candle cannot convert them.
pub fn widened(xs: &Tensor) -> Result<Tensor> {
    match xs.dtype() {
        DType::BF16 | DType::F16 => xs.to_dtype(DType::F32),
        _ => Ok(xs.clone()),
    }
}

/// The precision that the calling thread has chosen.
pub(crate) fn current() -> Precision {
    CURRENT.get()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::check::{assert_close, random, values};
    use crate::{Dropout, Mode, attention, backward, linear};

    /// The result and the gradients of a layer and an attention.
    fn run(precision: Precision, dtype: DType) -> Vec<Tensor> {
        let vars: Vec<Var> = [[64, 40].as_slice(), &[96, 40], &[96]]
            .iter()
            .zip(1..)
            .map(|(shape, seed)| {
                Var::from_tensor(&random(seed, shape).to_dtype(dtype).unwrap()).unwrap()
            })
            .collect();
        let none = Dropout::new(0., "attention").unwrap();
        let ys = with_precision(precision, || {
            let qkv = linear(&vars[0], &vars[1], Some(&vars[2])).unwrap();
            attention(&qkv.reshape((2, 32, 96)).unwrap(), 4, &none, Mode::Eval).unwrap()
        });
        let grads = backward(&ys.sqr().unwrap().sum_all().unwrap()).unwrap();
        let gradients = vars.iter().map(|var| grads.get(var).unwrap().clone());
        [ys].into_iter().chain(gradients).collect()
    }

    #[test]
    fn bfloat16_is_close_and_its_gradients_are_too() {
        let (exact, rounded) = (
            run(Precision::Full, DType::F32),
            run(Precision::Bf16, DType::F32),
        );
        for (i, (rounded, exact)) in rounded.iter().zip(&exact).enumerate() {
            assert_close(&format!("tensor {i} in bf16"), rounded, exact, 0.03);
            let same = values(rounded) == values(exact);
            assert_eq!(
                same,
                !Precision::Bf16.is_supported(&Device::Cpu),
                "tensor {i}"
            );
        }
    }

    #[test]
    fn other_types_stay_as_they_are() {
        let (exact, same) = (
            run(Precision::Full, DType::F64),
            run(Precision::Bf16, DType::F64),
        );
        for (exact, same) in exact.iter().zip(&same) {
            assert_eq!(values(exact), values(same));
        }
    }

    #[test]
    fn the_choice_ends_with_the_closure() {
        with_precision(Precision::Bf16, || assert_eq!(current(), Precision::Bf16));
        assert_eq!(current(), Precision::Full);
    }
}
