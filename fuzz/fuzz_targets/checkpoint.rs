//! Any bytes, as one of the files of a checkpoint, are a checkpoint or an error.
#![no_main]

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use unetr_train::{Checkpoint, Checkpoints, Retention};

const STATE: &[u8] = br#"{"format": 1, "version": "0.1.0", "step": 6, "epoch": 1, "state": 7}"#;
const METRICS: &[u8] = br#"{"validation/mean_iou": 0.5}"#;
const TENSORS: &[u8] = include_bytes!("../encoder.safetensors");
const FILES: [&str; 3] = ["state.json", "metrics.json", "model.safetensors"];

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let runs = tempfile::tempdir().expect("the disk can be written");
    let folder = runs.path().join("step-0000006");
    std::fs::create_dir(&folder).expect("the disk can be written");
    let mut contents = [STATE, METRICS, TENSORS];
    contents[usize::from(first) % FILES.len()] = bytes;
    for (name, content) in FILES.iter().zip(contents) {
        std::fs::write(folder.join(name), content).expect("the disk can be written");
    }
    let opened = Checkpoint::open(&folder);
    if let Ok(checkpoint) = &opened {
        let _ = checkpoint.state::<Value>();
        let _ = checkpoint.tensors(FILES[2], &Device::Cpu);
        let _ = checkpoint.tensors_metadata(FILES[2]);
    }
    let all = Checkpoints::open(runs.path(), Retention::default()).expect("the folder is there");
    assert_eq!(all.list().len(), usize::from(opened.is_ok()));
    let _ = all.best();
});
