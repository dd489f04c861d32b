//! Any bytes are the weights of an encoder or an error, and their configuration is valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_model::{EncoderWeights, UnetrConfig};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, bytes).expect("the disk can be written");
    if let Ok(weights) = EncoderWeights::open(&path)
        && let Ok(config) = weights.config(&UnetrConfig::tiny())
    {
        config.validate().expect("what was found is valid");
    }
});
