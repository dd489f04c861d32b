//! Files that are whole or not there.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::At;

/// Writes a file aside, flushes it and gives it its name, or removes it where that fails.
pub(crate) fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut aside = OsString::from(path);
    aside.push(".part");
    let aside = PathBuf::from(aside);
    // Whatever a former writer or a stranger left there, perhaps a link to elsewhere.
    let _ = std::fs::remove_file(&aside);
    let write = || {
        let mut file = File::create_new(&aside)?;
        file.write_all(bytes.as_ref())?;
        file.sync_all()?;
        std::fs::rename(&aside, path)
    };
    write().at(path).inspect_err(|_| {
        let _ = std::fs::remove_file(&aside);
    })
}
