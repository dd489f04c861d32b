//! Any bytes are a history or an error, whether it is read or opened, which drops a torn last line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unetr_train::{HistoryFile, Split};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let path = folder.path().join("history.jsonl");
    std::fs::write(&path, bytes).expect("the disk can be written");
    let (read, opened) = (HistoryFile::read(&path), HistoryFile::open(&path));
    assert_eq!(read.is_ok(), opened.is_ok());
    if let (Ok(read), Ok(opened)) = (read, opened) {
        let again = HistoryFile::read(&path).expect("a torn line is all that was dropped");
        for history in [opened.history(), &again] {
            assert_eq!(history.records().len(), read.records().len());
        }
        assert!(read.series(Split::Validation, "loss").len() <= read.records().len());
    }
});
