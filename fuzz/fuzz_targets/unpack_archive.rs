//! Any bytes, compressed, are an archive or an error, and nothing is written outside of the folder.
#![no_main]

use std::fs;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use unetr_data::{ArchiveSource, UnpackLimits, unpack_archive};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let archive = folder.path().join("archive.tar.gz");
    let file = fs::File::create(&archive).expect("the disk can be written");
    let mut gzip = GzEncoder::new(file, Compression::none());
    gzip.write_all(bytes).expect("the disk can be written");
    gzip.finish().expect("the disk can be written");

    let root = folder.path().join("root");
    fs::create_dir(&root).expect("the disk can be written");
    let [source, _] = ArchiveSource::oxford_pets();
    let limits = UnpackLimits {
        entries: 64,
        file_bytes: 1 << 16,
        total_bytes: 1 << 20,
    };
    let unpacked = unpack_archive(&archive, &root, &source, &limits, &mut |_| {});
    let names = |path: &std::path::Path| {
        let entries = fs::read_dir(path).expect("the folder is there");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("it is readable").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(folder.path()), ["archive.tar.gz", "root"]);
    let expected: &[&str] = if unpacked.is_ok() { &["images"] } else { &[] };
    assert_eq!(names(&root), expected);
});
