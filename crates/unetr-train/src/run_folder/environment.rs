use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{Result, date, files};

/// The machine and the program of a run: what its speed depends on.
///
/// What the operating system doesn't tell is `None`.
///
/// # Examples
/// ```
/// # use unetr_train::{Environment, RunFolder};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let run = RunFolder::new(folder.path());
/// let environment = Environment::collect("cpu");
/// environment.write(run.environment())?;
/// assert_eq!(Environment::read(run.environment())?, environment);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// When this was collected, in UTC as RFC 3339.
    pub date: String,
    /// What computes, as the caller names it: `cpu`, `cuda:0 (NVIDIA H100)`.
    pub device: String,
    /// The model of the processor.
    pub cpu: Option<String>,
    /// The instruction sets of the processor that this workspace has kernels for.
    pub instruction_sets: Vec<String>,
    /// Cores that this process may use, hyper-threads counted.
    pub cores: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Memory of the machine in bytes.
    pub memory: Option<u64>,
    /// The operating system and its kernel.
    pub os: String,
    /// The processor's architecture.
    pub architecture: String,
    /// The version of this crate.
    pub version: String,
    /// How the program was built.
    pub profile: BuildProfile,
}

/// How a program was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildProfile {
    /// Without debug assertions.
    Release,
    /// With debug assertions: its speed says little.
    Debug,
}

impl Environment {
    /// Describes this machine and this program, which computes on `device`.
    ///
    /// The threads are those of Rayon's global pool, which is made now if it wasn't yet.
    pub fn collect(device: impl Into<String>) -> Self {
        Self {
            date: date::rfc3339(SystemTime::now()),
            device: device.into(),
            cpu: cpu(),
            instruction_sets: instruction_sets(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            threads: rayon::current_num_threads(),
            memory: memory(),
            os: os(),
            architecture: std::env::consts::ARCH.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: if cfg!(debug_assertions) {
                BuildProfile::Debug
            } else {
                BuildProfile::Release
            },
        }
    }

    /// Writes it as a whole, as JSON.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write_json(path.as_ref(), self)
    }

    /// Reads an environment.
    ///
    /// # Errors
    /// When the file can't be read or is no environment.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        files::read_json(path.as_ref())
    }
}

fn cpu() -> Option<String> {
    if cfg!(target_os = "linux") {
        value_of("/proc/cpuinfo", "model name")
    } else if cfg!(target_os = "macos") {
        sysctl("machdep.cpu.brand_string")
    } else {
        std::env::var("PROCESSOR_IDENTIFIER").ok()
    }
}

fn memory() -> Option<u64> {
    if cfg!(target_os = "linux") {
        let total = value_of("/proc/meminfo", "MemTotal")?;
        let kibibytes: u64 = total.strip_suffix("kB")?.trim().parse().ok()?;
        Some(1024 * kibibytes)
    } else {
        sysctl("hw.memsize")?.parse().ok()
    }
}

fn os() -> String {
    let name = if cfg!(target_os = "linux") {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let pretty = release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="));
        pretty.map(|name| name.trim_matches('"').to_owned())
    } else {
        None
    };
    let name = name.unwrap_or_else(|| std::env::consts::OS.to_owned());
    match std::fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(kernel) => format!("{name}, kernel {}", kernel.trim()),
        Err(_) => name,
    }
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<String> {
    let sets = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("AVX512F", is_x86_feature_detected!("avx512f")),
        ("AVX512_BF16", is_x86_feature_detected!("avx512bf16")),
    ];
    sets.into_iter()
        .filter(|&(_, detected)| detected)
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<String> {
    Vec::new()
}

/// The value of the first line `key : value` of a file.
fn value_of(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == key).then(|| value.trim().to_owned())
    })
}

/// A value of the kernel of macOS.
fn sysctl(name: &str) -> Option<String> {
    let output = std::process::Command::new("sysctl")
        .args(["-n", name])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
