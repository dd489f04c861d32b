//! The memory of a GPU: Candle and this crate take it from the driver's pool in the order of the
//! stream.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::cuda_backend::DeviceId;
use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::{CudaDevice, Error, Result};

use crate::PeakMemory;

/// Devices whose pool keeps what is freed.
static PREPARED: LazyLock<Mutex<HashSet<DeviceId>>> = LazyLock::new(Mutex::default);

/// Tells the pool of a device to keep what is freed instead of giving it back to the system whenever
/// the host waits for the device: the next step needs it again. Asks the driver once.
pub(super) fn keep_freed(device: &CudaDevice) -> Result<()> {
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    if !prepared.insert(device.id()) {
        return Ok(());
    }
    let pool = pool(device)?;
    let mut all = u64::MAX;
    // SAFETY: the pool is a device's, and the attribute is a u64.
    unsafe {
        sys::cuMemPoolSetAttribute(
            pool,
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
            (&raw mut all).cast(),
        )
    }
    .result()
    .map_err(Error::wrap)
}

pub(crate) fn peak(device: &CudaDevice) -> Result<PeakMemory> {
    let pool = pool(device)?;
    let read = |attribute| {
        let mut value = 0u64;
        // SAFETY: the pool is a device's, and the attributes asked for are u64.
        unsafe { sys::cuMemPoolGetAttribute(pool, attribute, (&raw mut value).cast()) }
            .result()
            .map_err(Error::wrap)?;
        Ok::<_, Error>(value)
    };
    Ok(PeakMemory {
        used: read(sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)?,
        reserved: read(sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)?,
    })
}

fn pool(device: &CudaDevice) -> Result<sys::CUmemoryPool> {
    let stream = device.cuda_stream();
    let mut pool = std::ptr::null_mut();
    // SAFETY: the pointer is written before it is read.
    unsafe { sys::cuDeviceGetDefaultMemPool(&raw mut pool, stream.context().cu_device()) }
        .result()
        .map_err(Error::wrap)?;
    Ok(pool)
}
