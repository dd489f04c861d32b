use candle_core::{Device, Result};

/// Asks the C library to keep memory that is freed for whoever asks next, in the whole process; call
/// it once, at the beginning of a program that trains.
///
/// A training step frees and allocates the same hundreds of megabytes again and again. glibc gives
/// large pieces back to the system at once, and a fresh megabyte costs half a millisecond of page
/// faults: a tenth to a fifth of a step. Peak memory stays as it is; memory that is free between
/// steps is not seen as free by other programs. All threads share one heap, so that what one of them
/// frees serves the others. Elsewhere than on Linux with glibc, or beside another allocator, this does
/// nothing.
///
/// # Examples
/// ```
/// unetr_ops::keep_freed_memory();
/// ```
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` changes numbers of the allocator, under its lock.
    unsafe {
        // Not from pages of its own, which go back to the system when freed.
        libc::mallopt(libc::M_MMAP_MAX, 0);
        // One heap, so that what one thread has freed another one can have.
        libc::mallopt(libc::M_ARENA_MAX, 1);
        // Never give back the end of the heap.
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}

/// The most memory of a GPU that tensors took at a time, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeakMemory {
    /// What tensors were in.
    pub used: u64,
    /// What the driver's pool held for that.
    pub reserved: u64,
}

/// How much memory of a GPU this process took at most; nothing for a CPU.
///
/// # Errors
/// When the driver fails.
///
/// # Examples
/// ```
/// use candle_core::Device;
///
/// assert!(unetr_ops::peak_memory(&Device::Cpu)?.is_none());
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn peak_memory(device: &Device) -> Result<Option<PeakMemory>> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => crate::cuda::memory::peak(device).map(Some),
        _ => Ok(None),
    }
}
