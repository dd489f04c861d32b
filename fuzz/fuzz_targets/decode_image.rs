//! Any bytes are a photo or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_data::{ExifOrientation, decode_image};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(photo) = decode_image("fuzz", bytes, ExifOrientation::Apply) {
        assert_eq!(photo.len() as u64, 3 * u64::from(photo.width()) * u64::from(photo.height()));
    }
});
