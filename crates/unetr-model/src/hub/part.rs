//! Files of the cache, which are whole or not there.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::failure::Failure;

/// Writes a file aside with `fill`, flushes it and gives it its name, or removes it where that fails.
pub(super) fn write(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let (part, mut file) = folder
        .and_then(|()| create(path))
        .map_err(Failure::disk(path))?;
    let filled = fill(&mut file);
    let flushed = filled.and_then(|()| file.sync_all().map_err(Failure::disk(path)));
    drop(file);
    let written = flushed.and_then(|()| std::fs::rename(&part, path).map_err(Failure::disk(path)));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// A file beside `path` that nobody else writes: other processes have other numbers, and other threads other counts.
/// What a crash left under such a name, in a container where numbers begin anew, is passed over.
fn create(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = std::process::id();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut part = OsString::from(path);
        part.push(format!(".{process}-{count}.part"));
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return Ok((part.into(), file?)),
        }
    }
}
