//! Files that are whole or not there, for those who read while a run goes on.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Result;
use crate::error::At;

/// Writes a file aside, flushes it and gives it its name, or removes it where that fails; its folder is made if there is
/// none.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_aside(path, ".tmp", bytes)
}

/// As [`write_whole`], of a file that several processes may write at once.
pub(crate) fn write_beside_others(path: &Path, bytes: &[u8]) -> Result<()> {
    write_aside(path, &format!(".{}.tmp", std::process::id()), bytes)
}

fn write_aside(path: &Path, ending: &str, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).at(folder)?;
    }
    let mut aside = OsString::from(path);
    aside.push(ending);
    let aside = PathBuf::from(aside);
    // Whatever a former writer or a stranger left there, perhaps a link to elsewhere.
    let _ = std::fs::remove_file(&aside);
    let write = || {
        let mut file = File::create_new(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)
    };
    write().at(path).inspect_err(|_| {
        let _ = std::fs::remove_file(&aside);
    })
}

/// Writes a value as JSON, as [`write_whole`] does.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_whole(path, &serde_json::to_vec_pretty(value).at(path)?)
}

/// Reads a value from JSON.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&std::fs::read(path).at(path)?).at(path)
}
