//! Any bytes beside an encoder's weights tell finite statistics of pixels or are passed over.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_model::EncoderWeights;

/// The names of timm, with hardly any numbers.
const ENCODER: &[u8] = include_bytes!("../encoder.safetensors");

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, ENCODER).expect("the disk can be written");
    let beside = path.with_file_name("preprocessor_config.json");
    std::fs::write(beside, bytes).expect("the disk can be written");
    let weights = EncoderWeights::open(&path).expect("the weights are an encoder's");
    if let Some(found) = weights.pixel_statistics() {
        let mut values = found.mean.iter().chain(&found.std);
        assert!(values.all(|value| value.is_finite()), "{found}");
    }
});
