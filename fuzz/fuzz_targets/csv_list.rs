//! Any bytes are a list of photos and masks or an error, and so is each sample.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_data::{Classes, CsvConfig, CsvDataset, Dataset};

/// A photo of 8x6 pixels and a mask of three classes for it.
const PHOTO: &[u8] = include_bytes!("../photo.png");
const MASK: &[u8] = include_bytes!("../mask.png");

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    for (name, content) in [("list.csv", bytes), ("a", PHOTO), ("b", MASK)] {
        std::fs::write(folder.path().join(name), content).expect("the disk can be written");
    }
    let config = CsvConfig::new(Classes::named(["x", "y", "z"]).expect("the names differ"));
    if let Ok(list) = CsvDataset::open(folder.path().join("list.csv"), &config) {
        for index in 0..list.len().min(16) {
            if let Ok(sample) = list.get(index) {
                sample.size().expect("photo and mask of a sample have one size");
            }
        }
    }
});
