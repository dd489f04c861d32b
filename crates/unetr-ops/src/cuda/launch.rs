use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::cuda_backend::cudarc::driver::{CudaFunction, LaunchConfig, PushKernelArg as _};
use candle_core::cuda_backend::{DeviceId, WrapErr as _};
use candle_core::{CudaDevice, DType, Result, bail};

use super::Array;

/// The sources of the kernels, compiled.
macro_rules! modules {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")))),*]
    };
}
const MODULES: &[(&str, &str)] = modules![
    "channel_norm",
    "conv2d",
    "counts",
    "encoder",
    "images",
    "losses",
    "maps",
    "optimizer"
];

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg {
    Address(u64),
    Int(i32),
    Long(i64),
    Float(f32),
}

impl From<&Array> for Arg {
    fn from(array: &Array) -> Self {
        Self::Address(array.address())
    }
}

/// Nothing is the null pointer.
impl From<Option<&Array>> for Arg {
    fn from(array: Option<&Array>) -> Self {
        Self::Address(array.map_or(0, Array::address))
    }
}

impl From<i32> for Arg {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<usize> for Arg {
    fn from(value: usize) -> Self {
        // Arrays have fewer than 2^31 elements, which is checked where they are made.
        Self::Int(value as i32)
    }
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

impl From<f32> for Arg {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl From<f64> for Arg {
    fn from(value: f64) -> Self {
        Self::Float(value as f32)
    }
}

/// The arguments of a kernel.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::cuda::launch::Arg::from($value)),*] };
}
pub(crate) use args;

/// How many threads run a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launch {
    pub(crate) grid: [usize; 3],
    pub(crate) block: [usize; 3],
    /// Bytes of shared memory whose size the kernel does not know.
    pub(crate) shared: usize,
}

impl Launch {
    /// Threads for so many elements; those of a large array take several.
    pub(crate) fn each(count: usize) -> Self {
        Self {
            grid: [count.div_ceil(256).clamp(1, 132 * 32), 1, 1],
            block: [256, 1, 1],
            shared: 0,
        }
    }

    /// A warp for each row.
    pub(crate) fn rows(rows: usize) -> Self {
        Self {
            grid: [rows.div_ceil(8), 1, 1],
            block: [32, 8, 1],
            shared: 0,
        }
    }
}

thread_local! {
    /// Kernels that were launched before, by device and name.
    static FUNCTIONS: RefCell<HashMap<DeviceId, HashMap<String, CudaFunction>>> = RefCell::default();
}

/// The kernel of a module.
fn function(device: &CudaDevice, module: &str, kernel: &str) -> Result<CudaFunction> {
    let known = FUNCTIONS.with_borrow(|all| all.get(&device.id())?.get(kernel).cloned());
    if let Some(function) = known {
        return Ok(function);
    }
    let Some((_, ptx)) = MODULES.iter().find(|(name, _)| *name == module) else {
        bail!("there is no CUDA module {module}");
    };
    let function = device.get_or_load_custom_func(kernel, &format!("unetr_{module}"), ptx)?;
    let function = function.into_cuda_function();
    FUNCTIONS.with_borrow_mut(|all| {
        let of_device = all.entry(device.id()).or_default();
        of_device.insert(kernel.to_owned(), function.clone());
    });
    Ok(function)
}

/// Runs `kernel` of the module on a device.
pub(crate) fn launch(
    device: &CudaDevice,
    module: &str,
    kernel: &str,
    size: Launch,
    args: &[Arg],
) -> Result<()> {
    let function = function(device, module, kernel)?;
    let stream = device.cuda_stream();
    let mut builder = stream.launch_builder(&function);
    for arg in args {
        match arg {
            Arg::Address(value) => builder.arg(value),
            Arg::Int(value) => builder.arg(value),
            Arg::Long(value) => builder.arg(value),
            Arg::Float(value) => builder.arg(value),
        };
    }
    let [grid, block] = [size.grid, size.block].map(|[x, y, z]| (x as u32, y as u32, z as u32));
    let config = LaunchConfig {
        grid_dim: grid,
        block_dim: block,
        shared_mem_bytes: size.shared as u32,
    };
    // SAFETY: callers pass the arguments that the kernel's source declares, and arrays of the sizes that
    // it reads and writes; what it launched before on this stream is done by then.
    unsafe { builder.launch(config) }.w()?;
    Ok(())
}

/// What the names of the kernels for an element type end with.
pub(crate) fn suffix(dtype: DType) -> &'static str {
    match dtype {
        DType::BF16 => "bf16",
        DType::F16 => "f16",
        _ => "f32",
    }
}

/// Of the kernels that read vectors: how many elements these have, and what their names end with. Rows
/// of `width` elements begin where vectors do.
pub(crate) fn vectors(dtype: DType, width: usize) -> (usize, String) {
    let wide = if dtype == DType::F32 { 4 } else { 8 };
    match width.is_multiple_of(wide) {
        true => (wide, format!("{}_wide", suffix(dtype))),
        false => (1, suffix(dtype).to_owned()),
    }
}
