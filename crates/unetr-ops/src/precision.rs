use std::cell::Cell;

use serde::{Deserialize, Serialize};

/// In what numbers matrices are multiplied. What is added up, parameters, gradients and everything
/// that is not a product of matrices stay as they are. See [`with_precision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As they are.
    #[default]
    Full,
    /// Rounded to bfloat16: 8 bits of precision and the range of f32. On processors with AVX512_BF16
    /// at twice the speed of f32; others compute as with [`Precision::Full`], see
    /// [`Precision::is_supported`].
    Bf16,
}

impl Precision {
    /// Whether this processor computes in these numbers.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Full => true,
            Self::Bf16 => crate::cpu::supports_bf16(),
        }
    }
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::Full) };
}

/// Runs `f`, whose operations multiply matrices in this precision, and their backward passes too: mixed
/// precision as in `torch.autocast`, where parameters and everything else stay in f32 (Micikevicius et
/// al. 2018, <https://arxiv.org/abs/1710.03740>; for bfloat16 Kalamkar et al. 2019,
/// <https://arxiv.org/abs/1905.12322>). It concerns tensors of f32 on the CPU.
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
    struct Restore(Precision);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(precision));
    f()
}

/// The precision that the calling thread has chosen.
pub(crate) fn current() -> Precision {
    CURRENT.get()
}
