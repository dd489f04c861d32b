//! Any bytes are parameters in a safetensors file or an error.
#![no_main]

use candle_core::{DType, Device};
use libfuzzer_sys::fuzz_target;
use unetr_model::Parameters;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, bytes).expect("the disk can be written");
    if let Ok(parameters) = Parameters::open(&path, DType::F32, &Device::Cpu) {
        assert!(parameters.names().is_empty(), "nothing has asked for a parameter");
    }
});
