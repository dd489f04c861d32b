//! Any bytes, as one of the files of a training run, are a page or an error, and never a script.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use unetr_train::Report;

/// A picture of the gallery.
const PHOTO: &[u8] = include_bytes!("../photo.png");
const CONFIG: &str = r#"{"trainer": {"epochs": 3}}"#;
const HISTORY: &str = r#"{"epoch": 2, "step": 110, "lr": 0.1, "seconds": 9.0, "images_per_second": 44.0, "metrics": {}}
"#;
const FILES: [&str; 5] =
    ["config.json", "history.jsonl", "evaluation.json", "environment.json", "gallery/gallery.json"];

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("the disk can be written");
    let run = folder.path();
    fs::create_dir(run.join("gallery")).expect("the disk can be written");
    fs::write(run.join("gallery/a"), PHOTO).expect("the disk can be written");
    fs::write(run.join("config.json"), CONFIG).expect("the disk can be written");
    fs::write(run.join("history.jsonl"), HISTORY).expect("the disk can be written");
    let file = FILES[usize::from(first) % FILES.len()];
    fs::write(run.join(file), bytes).expect("the disk can be written");
    if let Ok(report) = Report::open(&[run]) {
        assert!(!report.html().contains("<script"));
    }
});
