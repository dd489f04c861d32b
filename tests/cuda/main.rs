//! A GPU against the CPU. Without a GPU the tests say so and pass, unless `UNETR_NEEDS_GPU` is set.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod golden;
mod network;
mod operations;
mod pixels;

use candle_core::Device;

/// The first GPU.
fn gpu() -> Option<Device> {
    match Device::new_cuda(0) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("UNETR_NEEDS_GPU").is_some() => panic!("no GPU: {error}"),
        Err(_) => {
            eprintln!("no GPU: not run");
            None
        }
    }
}
