//! Any bytes are a mask that tells classes by colour or an error, and have no other values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_data::{Classes, read_colour_mask};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("mask");
    std::fs::write(&path, bytes).expect("the disk can be written");
    let classes = Classes::new([("a", [0, 0, 0]), ("b", [128, 0, 0])]).expect("the names differ");
    if let Ok(mask) = read_colour_mask(&path, &classes.ignore([224, 224, 192])) {
        assert!(mask.iter().all(|class| [0, 1, Classes::IGNORED].contains(class)));
    }
});
