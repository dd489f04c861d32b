//! From label tensors on any device to class indices on the CPU.

use candle_core::{DType, Device, Storage, Tensor, WithDType};

use crate::{Error, Result};

/// Integer labels of any supported type, flattened.
pub(crate) fn class_labels(labels: &Tensor) -> Result<Vec<i64>> {
    match labels.dtype() {
        DType::U8 => with_slice(labels, |values: &[u8]| {
            values.iter().map(|&v| v.into()).collect()
        }),
        DType::U32 => with_slice(labels, |values: &[u32]| {
            values.iter().map(|&v| v.into()).collect()
        }),
        DType::I32 => with_slice(labels, |values: &[i32]| {
            values.iter().map(|&v| v.into()).collect()
        }),
        DType::I64 => with_slice(labels, <[i64]>::to_vec),
        other => Err(Error::LabelType {
            found: other.as_str(),
        }),
    }
}

/// Lends the values of a tensor, without a copy when it lies contiguous on the CPU.
fn with_slice<T: WithDType, R>(tensor: &Tensor, read: impl FnOnce(&[T]) -> R) -> Result<R> {
    // host sync: a tensor of a GPU is downloaded
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) => {
            Ok(read(&storage.as_slice::<T>()?[start..end]))
        }
        _ => Err(candle_core::Error::msg("a contiguous tensor on the CPU was expected").into()),
    }
}
