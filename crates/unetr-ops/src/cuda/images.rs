//! Images and masks on their way to a GPU.

use candle_core::cuda_backend::WrapErr as _;
use candle_core::cuda_backend::cudarc::driver::result;
use candle_core::{CudaDevice, DType, Device, Result, Tensor};

use super::launch::Arg;
use super::{Array, Launch, launch, staging};
use crate::cpu::with_elements;

/// Threads of a block.
const THREADS: usize = 256;

/// The most rows of a grid.
const MOST: usize = 65_535;

/// The [`normalize_images`](crate::normalize_images()) of images that have been checked.
pub(crate) fn normalize(
    images: &Tensor,
    shift: [f32; 3],
    scale: [f32; 3],
    device: &CudaDevice,
) -> Result<Tensor> {
    let (batch, channels, height, width) = images.dims4()?;
    let pixels = height * width;
    let normalized = Array::empty(device, DType::F32, images.dims())?;
    let (vector, kernel) = match pixels.is_multiple_of(4) {
        true => (4, "normalize_u8_wide"),
        false => (1, "normalize_u8"),
    };
    let size = Launch {
        grid: [
            batch * channels,
            pixels.div_ceil(vector * THREADS).min(MOST),
            1,
        ],
        block: [THREADS, 1, 1],
        shared: 0,
    };
    let read = |address| {
        let mut args = vec![
            Arg::Address(address),
            Arg::from(&normalized),
            Arg::from(pixels),
        ];
        args.extend(shift.into_iter().chain(scale).map(Arg::Float));
        launch(device, "images", kernel, size, &args)
    };
    if images.device().is_cpu() {
        with_elements(&images.contiguous()?, |bytes| {
            staging::upload(device, bytes, read)
        })??;
    } else {
        let images = Array::of(&images.to_device(&Device::Cuda(device.clone()))?)?;
        read(images.address())?;
    }
    normalized.into_tensor()
}

/// The [`upload`](crate::upload()) of bytes of the CPU, of which there is one at least.
pub(crate) fn upload(xs: &Tensor, device: &CudaDevice) -> Result<Tensor> {
    let uploaded = Array::empty(device, DType::U8, xs.dims())?;
    with_elements(&xs.contiguous()?, |bytes: &[u8]| {
        staging::upload(device, bytes, |address| {
            let stream = device.cuda_stream().cu_stream();
            // SAFETY: both arrays have the bytes of `xs`, and what the stream did with them before is done by
            // then; `staging` has made the driver's context the thread's.
            unsafe { result::memcpy_dtod_async(uploaded.address(), address, bytes.len(), stream) }
                .w()
        })
    })??;
    uploaded.into_tensor()
}
