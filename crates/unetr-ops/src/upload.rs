use candle_core::{Device, Result, Tensor};

/// A tensor on a device; the host does not wait for a GPU.
///
/// Bytes of the CPU go to an NVIDIA GPU through page-locked memory on a stream of their own, beside what the
/// GPU computes meanwhile; operations on the result wait for them there. A few such copies may be under way:
/// the host waits where it is further ahead. Everything else is [`Tensor::to_device`].
///
/// # Errors
/// When the device fails.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
///
/// let masks = Tensor::new(&[[[0u8, 1], [2, 1]]], &Device::Cpu)?;
/// let masks = unetr_ops::upload(&masks, &Device::Cpu)?;
/// assert_eq!(masks.dims(), [1, 2, 2]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn upload(xs: &Tensor, device: &Device) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let (Device::Cpu, candle_core::DType::U8, Device::Cuda(gpu)) =
        (xs.device(), xs.dtype(), device)
        && xs.elem_count() > 0
    {
        return crate::cuda::images::upload(xs, gpu);
    }
    xs.to_device(device)
}
