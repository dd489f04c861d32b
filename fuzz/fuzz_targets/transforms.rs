//! Any bytes are transforms or an error, and valid ones leave photo and mask of one size.
#![no_main]

use image::{GrayImage, Luma, Rgb, RgbImage};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use unetr_data::{Compose, Sample, Transform, sample_rng};

/// Larger photos than this take too long.
const LARGEST: u64 = 256;

/// The largest whole number, which all sizes of outputs are.
fn largest(json: &Value) -> u64 {
    match json {
        Value::Number(number) => number.as_u64().unwrap_or(0),
        Value::Array(values) => values.iter().map(largest).max().unwrap_or(0),
        Value::Object(values) => values.values().map(largest).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(transforms) = serde_json::from_slice::<Compose>(bytes) else { return };
    let json = serde_json::to_value(&transforms).expect("transforms can be written");
    if transforms.validate().is_err() || largest(&json) > LARGEST {
        return;
    }
    let photo = RgbImage::from_fn(8, 6, |x, y| Rgb([30 * x as u8, 40 * y as u8, 99]));
    let mask = GrayImage::from_fn(8, 6, |x, _| Luma([x as u8 % 3]));
    let mut rng = sample_rng(0, 0, bytes.len() as u64);
    if let Ok(sample) = transforms.apply(Sample::new("fuzz", photo, mask), &mut rng) {
        sample.size().expect("photo and mask of a sample have one size");
    }
});
