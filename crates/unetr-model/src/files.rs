//! Files that are whole: a crash while one is written leaves what was there before.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::At;

/// Writes a file aside with `write`, flushes it and gives it its name.
pub(crate) fn write_aside(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut aside = OsString::from(path);
    aside.push(".tmp");
    let aside = PathBuf::from(aside);
    // Whatever a former writer or a stranger left there, perhaps a link to elsewhere.
    let _ = std::fs::remove_file(&aside);
    write(&aside)?;
    let written = OpenOptions::new().write(true).open(&aside).at(&aside)?;
    written.sync_all().at(&aside)?;
    std::fs::rename(&aside, path).at(path)
}

/// Writes bytes as [`write_aside`] does.
pub(crate) fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_aside(path, |aside| std::fs::write(aside, bytes).at(aside))
}
