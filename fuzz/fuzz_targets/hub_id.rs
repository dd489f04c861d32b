//! Any text is the id of a repository or an error, and what it names lies in that one's cache.
#![no_main]

use std::{fs, path::Path, sync::OnceLock};

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use unetr_model::hub::Hub;

const COMMIT: &str = "c0ffee0123456789012345678901234567890123";
const FILES: [&str; 6] = [
    "config.json",
    "cache/config.json",
    "cache/models--a--b/refs/main",
    "cache/models--a--b/snapshots/c0ffee0123456789012345678901234567890123/config.json",
    "cache/models--a--b/snapshots/v1/config.json",
    "cache/models--a--b/snapshots/refs/pr/1/config.json",
];
static FOLDER: OnceLock<TempDir> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("the disk can be written"));
    for path in FILES.map(|file| folder.path().join(file)).iter().filter(|path| !path.exists()) {
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
        // The name of a commit, for the file of the branch; none reads the others.
        fs::write(path, COMMIT).expect("the disk can be written");
    }
    let cache = folder.path().join("cache").canonicalize().expect("it is there");
    let id = std::str::from_utf8(bytes).unwrap_or_default();
    let located = Hub::new(&cache).offline().locate(id, &["config.json"], &[]);
    if let (Ok(located), false) = (located, Path::new(id).is_dir()) {
        let located = located.canonicalize().expect("it is there");
        assert!(located.starts_with(cache.join("models--a--b/snapshots")), "{located:?}");
    }
});
