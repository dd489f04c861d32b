//! Any bytes are a mask or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_data::decode_mask;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mask) = decode_mask("fuzz", bytes) {
        assert_eq!(mask.len() as u64, u64::from(mask.width()) * u64::from(mask.height()));
    }
});
