use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use std::io::Write;
use tar::{Builder, EntryType, Header};

/// Builds gzipped tar archives, hostile ones too.
pub struct ArchiveBuilder(Builder<Vec<u8>>);

impl ArchiveBuilder {
    pub fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, EntryType::Regular, content, "")
    }

    pub fn folder(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, b"", "")
    }

    /// An entry whose path and link are written as they are: `Header::set_path` would refuse some.
    pub fn entry(mut self, path: &str, kind: EntryType, content: &[u8], link: &str) -> Self {
        let mut header = Header::new_gnu();
        let raw = header.as_gnu_mut().unwrap();
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub fn gzip(self) -> Vec<u8> {
        gzip(&self.0.into_inner().unwrap())
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An archive as the official one: a folder, photos, an AppleDouble file; some 100 kB.
pub fn official() -> Vec<u8> {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(100_000)
    .collect();
    ArchiveBuilder::new()
        .folder("images/")
        .file("images/a_1.jpg", &noise)
        .file("./images/deeper/b_1.jpg", b"b")
        .file("images/._a_1.jpg", b"AppleDouble")
        .file("README", b"beside the folder")
        .gzip()
}

pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}
