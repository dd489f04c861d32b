//! Any bytes are the configuration of a network or an error, and it is written and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_model::UnetrConfig;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("config.json");
    std::fs::write(&path, bytes).expect("the disk can be written");
    if let Ok(config) = UnetrConfig::read(&path) {
        let text = serde_json::to_vec(&config).expect("a valid one can be written");
        let again: UnetrConfig = serde_json::from_slice(&text).expect("it can be read again");
        assert_eq!(again, config);
    }
});
