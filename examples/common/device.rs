//! Threads, devices, and batches for them.

use anyhow::{Context as _, Result, bail};
use candle_core::Device;
use unetr::data::{Compose, DataLoader, DataLoaderConfig, Dataset};
use unetr::ops::keep_freed_memory;

/// Makes this thread one of the so many that compute, 0 for one per core: operations then need not
/// wake another thread up and wait for it. Memory that a step frees stays for the next one.
pub(crate) fn compute_threads(count: usize) -> Result<()> {
    keep_freed_memory();
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .use_current_thread()
        .build_global()
        .context("the threads that compute are there already")
}

/// `auto` takes the first GPU if there is one that works and the CPU otherwise.
pub(crate) fn device(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    if name == "auto" {
        if !candle_core::utils::cuda_is_available() {
            return Ok(Device::Cpu);
        }
        return Ok(Device::new_cuda(0).unwrap_or_else(|error| {
            eprintln!("no usable GPU, using the CPU: {error}");
            Device::Cpu
        }));
    }
    let Some(ordinal) = name.strip_prefix("cuda:").and_then(|n| n.parse().ok()) else {
        bail!("device {name:?} is unknown; expected auto, cpu or cuda:N");
    };
    Device::new_cuda(ordinal).with_context(|| {
        format!("device {name} cannot be used; build with --features cuda, or take --device cpu")
    })
}

/// Batches for a device: bytes for a GPU, which normalises them, and floats for others.
pub(crate) fn loader_for(
    device: &Device,
    dataset: impl Dataset + 'static,
    transforms: Compose,
    config: DataLoaderConfig,
) -> unetr::data::Result<DataLoader> {
    match device.is_cuda() {
        true => DataLoader::normalizing_later(dataset, transforms, config),
        false => DataLoader::new(dataset, transforms, config),
    }
}
