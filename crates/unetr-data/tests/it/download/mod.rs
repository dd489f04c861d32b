mod archive;
mod fetch;
mod server;
mod unpack;

use std::fs;
use std::path::Path;

use unetr_data::{ArchiveSource, DownloadConfig, DownloadEvent, Result, download_archive};

/// Where these bytes are served, as an archive with the folder `images`.
fn source(url: &str, bytes: &[u8]) -> ArchiveSource {
    ArchiveSource {
        file: "images.tar.gz".into(),
        folder: "images".into(),
        urls: vec![url.into()],
        size: bytes.len() as u64,
        md5: archive::md5(bytes),
    }
}

/// Three attempts without pauses to speak of.
fn quick() -> DownloadConfig {
    DownloadConfig {
        attempts: 3.try_into().unwrap(),
        backoff_ms: 1,
        timeout_secs: 5.try_into().unwrap(),
        ..DownloadConfig::default()
    }
}

fn download(root: &Path, source: &ArchiveSource) -> Result<()> {
    download_archive(root, source, &quick(), &mut |_: DownloadEvent<'_>| {})
}

/// Every file and folder below `root`, sorted, with `/` behind folders.
fn listing(root: &Path) -> Vec<String> {
    fn visit(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_string();
            if path.is_dir() {
                found.push(format!("{name}/"));
                visit(&path, root, found);
            } else {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    visit(root, root, &mut found);
    found.sort();
    found
}
