//! Any bytes beside an encoder's weights tell finite statistics of pixels and a configuration, are passed over, or an
//! error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_model::{EncoderWeights, UnetrConfig};

/// The names of timm, with hardly any numbers.
const ENCODER: &[u8] = include_bytes!("../encoder.safetensors");

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("x.safetensors");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("the disk can be written");
    };
    write("x.safetensors", ENCODER);
    write("preprocessor_config.json", bytes);
    if let Ok(weights) = EncoderWeights::open(&path) {
        if let Some(found) = weights.pixel_statistics() {
            let mut values = found.mean.iter().chain(&found.std);
            assert!(values.all(|value| value.is_finite()), "{found}");
        }
    }
    write("config.json", bytes);
    if let Ok(weights) = EncoderWeights::open(&path) {
        let _ = weights.config(&UnetrConfig::tiny());
    }
});
