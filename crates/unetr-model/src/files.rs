//! Files that are whole: a crash while one is written leaves what was there before.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::At;
use crate::{Error, Result};

/// Writes a file aside with `write`, flushes it and gives it its name, or removes it where that fails.
pub(crate) fn write_aside(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let aside = beside(path, ".part");
    // Whatever a former writer or a stranger left there, perhaps a link to elsewhere.
    let _ = std::fs::remove_file(&aside);
    create(&aside).at(path)?;
    publish(&aside, path, Error::io(path), || write(&aside))
}

/// Writes bytes aside, flushes them and gives the file its name, or removes it where that fails.
///
/// # Errors
/// When the disk refuses.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_aside(path, |aside| std::fs::write(aside, bytes).at(path))
}

/// The path with an ending more.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = OsString::from(path);
    beside.push(ending);
    beside.into()
}

/// Makes a file that is not there yet.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Flushes a file once `write` has filled it and gives it its name, or removes it where that fails. `disk` makes an error
/// of what the disk says.
pub(crate) fn publish<E>(
    aside: &Path,
    path: &Path,
    disk: impl Fn(io::Error) -> E,
    write: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let flush = || OpenOptions::new().write(true).open(aside)?.sync_all();
    let finish = || flush().and_then(|()| std::fs::rename(aside, path));
    let written = write().and_then(|()| finish().map_err(disk));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(aside);
    }
    written
}
