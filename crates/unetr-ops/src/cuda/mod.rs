//! The kernels on NVIDIA GPUs: arrays, launches, matrix products, the graph.
//!
//! Feature maps have their channels last, `[batch, height, width, channels]`; to the outside they are
//! `[batch, channels, height, width]`, as views. In which numbers an operation computes and stores
//! says [`Precision`](crate::Precision); parameters, statistics, sums and losses are in f32.

mod array;
mod cast;
pub(crate) mod conv2d;
pub(crate) mod counts;
mod gemm;
pub(crate) mod graph;
pub(crate) mod head;
pub(crate) mod images;
mod launch;
pub(crate) mod losses;
mod map;
pub(crate) mod memory;
pub(crate) mod norm;
pub(crate) mod optimizer;
mod pixels;
pub(crate) mod rows;
mod staging;

pub(crate) use array::Array;
pub(crate) use cast::cast;
pub(crate) use gemm::gemm;
pub(crate) use launch::{Launch, args, launch};
pub(crate) use map::{Map, from_planes, reorder, shuffle};
pub(crate) use pixels::{Labels, Pixels, Scores};

use candle_core::{CudaDevice, DType, Device, Result, Tensor, bail};

use crate::{Precision, precision};

/// Whether a tensor goes to the kernels of this module.
pub(crate) fn runs_on_cuda(xs: &Tensor) -> bool {
    xs.device().is_cuda() && matches!(xs.dtype(), DType::F32 | DType::BF16 | DType::F16)
}

/// The GPU that a tensor is on.
pub(crate) fn device(xs: &Tensor) -> Result<CudaDevice> {
    match xs.device() {
        Device::Cuda(device) => Ok(device.clone()),
        other => bail!("a CUDA kernel got a tensor on {other:?}"),
    }
}

/// The numbers that operations compute in and store, under the chosen precision.
pub(crate) fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::Full | Precision::Tf32 => DType::F32,
        Precision::Bf16 => DType::BF16,
        Precision::F16 => DType::F16,
    }
}

/// The precision that the calling thread has chosen, and its numbers.
pub(crate) fn numbers() -> (Precision, DType) {
    let precision = precision::current();
    (precision, dtype(precision))
}
