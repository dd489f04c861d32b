use candle_core::{DType, Device, Result, Tensor, bail};

use super::launch::suffix;
use super::{Array, Launch, args, launch};

/// The numbers in another type, or a copy of them.
///
/// # Errors
/// When the kernels do not compute in one of the types.
pub(crate) fn cast(xs: &Array, dtype: DType) -> Result<Array> {
    let is_known = |dtype| matches!(dtype, DType::F32 | DType::BF16 | DType::F16);
    if let Some(found) = [xs.dtype(), dtype].into_iter().find(|&x| !is_known(x)) {
        bail!(
            "a CUDA kernel got numbers of type {found:?}, expected f32, bf16 or f16; convert them with `to_dtype`"
        );
    }
    let ys = Array::empty(xs.device(), dtype, xs.dims())?;
    let kernel = format!("cast_{}_{}", suffix(xs.dtype()), suffix(dtype));
    let count = xs.count();
    launch(
        xs.device(),
        "maps",
        &kernel,
        Launch::each(count),
        args![xs, &ys, count],
    )?;
    Ok(ys)
}

impl Array {
    /// The numbers in a type, themselves if they are of that type.
    pub(crate) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        self.clone().into_dtype(dtype)
    }

    /// As [`to_dtype`](Self::to_dtype), of numbers that nobody else shares then.
    pub(crate) fn into_dtype(self, dtype: DType) -> Result<Self> {
        match self.dtype() == dtype {
            true => Ok(self),
            false => cast(&self, dtype),
        }
    }

    /// The sum with other numbers of the same shape and type.
    pub(crate) fn add(&self, more: &Self) -> Result<Self> {
        let sum = Self::empty(self.device(), self.dtype(), self.dims())?;
        let kernel = format!("add_{}", suffix(self.dtype()));
        let count = self.count();
        let args = args![self, more, &sum, count];
        launch(self.device(), "maps", &kernel, Launch::each(count), args)?;
        Ok(sum)
    }

    /// Zeros of the same shape and type.
    pub(crate) fn zeros_like(&self) -> Result<Self> {
        let device = Device::Cuda(self.device().clone());
        Self::of(&Tensor::zeros(self.dims(), self.dtype(), &device)?)
    }
}
