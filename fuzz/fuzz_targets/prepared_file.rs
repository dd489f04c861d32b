//! Any bytes are a file of prepared samples or an error, and so is each of its samples.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_data::{Dataset, PreparedDataset};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("prepared");
    std::fs::write(&path, bytes).expect("the disk can be written");
    if let Ok(prepared) = PreparedDataset::open(&path) {
        for index in 0..prepared.len().min(64) {
            if let Ok(sample) = prepared.get(index) {
                sample.size().expect("photo and mask of a sample have one size");
            }
        }
    }
});
