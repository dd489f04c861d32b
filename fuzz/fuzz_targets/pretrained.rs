//! Any bytes, as one of the JSON files beside a network's weights, are a segmenter or an error.
#![no_main]

use std::{fs, sync::OnceLock};

use candle_core::{DType, Device};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use unetr_data::{Classes, Normalize};
use unetr_model::{Parameters, Unetr, UnetrConfig};
use unetr_predict::{ModelCard, Segmenter, save_pretrained};

static FOLDER: OnceLock<TempDir> = OnceLock::new();

/// The folder of a network of three classes.
fn network() -> TempDir {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).expect("it is valid");
    let classes = Classes::viridis(["a", "b", "c"]).expect("the names differ");
    let (norm, card) = (Normalize::default(), ModelCard::default());
    let saved = save_pretrained(folder.path(), &model, &parameters, &norm, &classes, &card);
    saved.map(|()| folder).expect("the disk can be written")
}

fuzz_target!(|bytes: &[u8]| {
    const FILES: [&str; 3] = ["config.json", "preprocessing.json", "classes.json"];
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let folder = FOLDER.get_or_init(network).path();
    let path = folder.join(FILES[usize::from(first) % FILES.len()]);
    let valid = fs::read(&path).expect("it was written");
    fs::write(&path, bytes).expect("the disk can be written");
    let _ = Segmenter::from_pretrained(folder).map(|found| assert_eq!(found.classes().len(), 3));
    fs::write(&path, valid).expect("the disk can be written");
});
