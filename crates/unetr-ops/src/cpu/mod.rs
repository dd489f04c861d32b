//! What the CPU kernels share: element types, access to storage, matrix products, row sums.

mod buffer;
mod erf;
mod exp;
mod in_place;
mod ln;
mod matmul;
mod parallel;
mod pixels;
mod product;
mod real;
mod simd;
mod sums;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiles;
mod transpose;

use std::sync::RwLockReadGuard;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType, bail};

pub use buffer::release_buffers;
pub(crate) use buffer::{Aligned, Buffer, unwritten};
pub(crate) use in_place::{storage_of, with_elements_mut};
pub(crate) use matmul::{Matrix, MatrixMut, Product, Threads, gemm, gemm_new, gemm_shared};
pub(crate) use parallel::{Shared, add_in_parallel, copy_in_parallel, min_chunks};
pub(crate) use pixels::{BLOCK, SoftmaxBlock, for_each_softmax};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use product::{Contiguous, Operand, pack_lines, pack_pairs, round};
pub(crate) use product::{PANEL_VECTORS, tile};
pub(crate) use real::Real;
#[cfg(test)]
pub(crate) use simd::tests::at_each_level;
pub(crate) use simd::{Lanes, Once, Registers, dispatch, tile_rows, tile_vectors, vectorised};
pub(crate) use sums::{
    add, add_constant, centred_sum_of_squares, column_sums, lane_centred_squares, lane_sum,
    lane_sums, largest, sum, sum_and_centred_dot, sum_of_squares,
};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use tiles::{Tiles, as_f32, as_f32_mut, is_f32};
pub(crate) use transpose::{Rows, Write};

/// Whether a tensor goes to the kernels of this crate: f32 and f64 on the CPU.
pub(crate) fn runs_on_cpu(xs: &Tensor) -> bool {
    xs.device().is_cpu() && matches!(xs.dtype(), DType::F32 | DType::F64)
}

/// Whether this processor multiplies in bfloat16.
pub(crate) fn supports_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return product::Bf16::is_supported();
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// The elements of a contiguous argument of a custom operation.
pub(crate) fn elements<'a, T: WithDType>(
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => bail!("a CPU kernel got a tensor that is not contiguous: {layout:?}"),
    }
}

/// Runs a kernel on the elements of a contiguous CPU tensor that an operation keeps beside its
/// arguments.
pub(crate) fn with_elements<T: WithDType, R>(
    tensor: &Tensor,
    kernel: impl FnOnce(&[T]) -> R,
) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(kernel(elements(storage, layout)?)),
        _ => bail!("a CPU kernel got a tensor on {:?}", tensor.device()),
    }
}

/// Locked storages of contiguous CPU tensors.
#[derive(Debug)]
pub(crate) struct Locked<'a>(Vec<(RwLockReadGuard<'a, Storage>, &'a Layout)>);

impl<'a> Locked<'a> {
    pub(crate) fn new(tensors: &'a [Tensor]) -> Self {
        Self(tensors.iter().map(Tensor::storage_and_layout).collect())
    }

    /// The elements of every tensor.
    pub(crate) fn elements<T: Real>(&self) -> Result<Vec<&[T]>> {
        let mut all = Vec::with_capacity(self.0.len());
        for (storage, layout) in &self.0 {
            match &**storage {
                Storage::Cpu(storage) => all.push(elements(storage, layout)?),
                _ => bail!("a CPU kernel got a tensor that is elsewhere"),
            }
        }
        Ok(all)
    }
}

/// Runs an expression with `T` standing for the element type of a CPU storage.
macro_rules! for_real {
    ($storage:expr, $T:ident => $kernel:expr) => {
        match $storage.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $kernel
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $kernel
            }
            dtype => candle_core::bail!("the CPU kernels take f32 and f64, got {dtype:?}"),
        }
    };
}
pub(crate) use for_real;
