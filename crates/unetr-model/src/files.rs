//! Files that are whole: a crash while one is written leaves what was there before.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::At;
use crate::{Error, Result};

/// Writes a file aside with `write`, flushes it and gives it its name, or removes it where that fails. `disk` makes an
/// error of what the disk says.
pub(crate) fn write_aside<E>(
    path: &Path,
    disk: impl Fn(io::Error) -> E,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let aside = create(path).map_err(&disk)?;
    let finish = || {
        let written = OpenOptions::new().write(true).open(&aside)?;
        written.sync_all()?;
        std::fs::rename(&aside, path)
    };
    let written = write(&aside).and_then(|()| finish().map_err(&disk));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&aside);
    }
    written
}

/// Writes bytes as [`write_aside`] does.
pub(crate) fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_aside(path, Error::io(path), |aside| {
        std::fs::write(aside, bytes).at(path)
    })
}

/// An empty file beside `path` that nobody else writes: other processes have other numbers, and other threads other
/// counts. What a crash left under such a name, in a container where numbers begin anew, is passed over.
fn create(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = std::process::id();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut aside = OsString::from(path);
        aside.push(format!(".{process}-{count}.part"));
        match OpenOptions::new().write(true).create_new(true).open(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|_| aside.into()),
        }
    }
}
