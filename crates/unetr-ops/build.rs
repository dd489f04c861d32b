//! Compiles the CUDA kernels to PTX, which the driver compiles for the GPU it finds: code for compute
//! capability 8.0, the first with bfloat16, runs on that and every later one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const ARCHITECTURE: &str = "compute_80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    if let Err(error) = compile_all() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

fn compile_all() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let folder = fs::read_dir("kernels").map_err(|error| format!("kernels: {error}"))?;
    for entry in folder {
        let source = entry.map_err(|error| format!("kernels: {error}"))?.path();
        if source
            .extension()
            .is_some_and(|extension| extension == "cu")
        {
            compile(&source, &out)?;
        }
    }
    Ok(())
}

fn compile(source: &Path, out: &Path) -> Result<(), String> {
    let name = source.with_extension("ptx");
    let ptx = out.join(name.file_name().ok_or("a kernel has no name")?);
    let nvcc = nvcc();
    let output = Command::new(&nvcc)
        .args(["--ptx", "-O3", "-std=c++17", "-arch", ARCHITECTURE, "-o"])
        .arg(&ptx)
        .arg(source)
        .output()
        .map_err(|error| {
            format!(
                "cannot run {}: {error}; the feature cuda needs the CUDA toolkit: put nvcc on PATH, or set \
                 CUDA_HOME to the toolkit or NVCC to the compiler",
                nvcc.display()
            )
        })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{} failed on {}: {}",
            nvcc.display(),
            source.display(),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn nvcc() -> PathBuf {
    match (env::var_os("NVCC"), env::var_os("CUDA_HOME")) {
        (Some(nvcc), _) => nvcc.into(),
        (None, Some(home)) => Path::new(&home).join("bin/nvcc"),
        (None, None) => "nvcc".into(),
    }
}
