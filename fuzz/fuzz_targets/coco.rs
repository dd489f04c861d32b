//! Any bytes are annotations of photos or an error, and so is each sample.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_data::{CocoConfig, CocoDataset, Dataset};

/// A photo of 8x6 pixels.
const PHOTO: &[u8] = include_bytes!("../photo.png");

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let annotations = folder.path().join("annotations.json");
    std::fs::write(&annotations, bytes).expect("the disk can be written");
    std::fs::write(folder.path().join("a"), PHOTO).expect("the disk can be written");
    if let Ok(coco) = CocoDataset::open(&annotations, folder.path(), &CocoConfig::default()) {
        for index in 0..coco.len().min(16) {
            if let Ok(sample) = coco.get(index) {
                sample.size().expect("photo and mask of a sample have one size");
            }
        }
    }
});
