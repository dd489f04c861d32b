use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

const SUFFIX: &str = ".preparing";

/// A file that is written beside its place and renamed when it is whole, so that at its place there
/// is the old file, the new one or none, never a part of one.
///
/// It has a name of its own, so that several processes may write at once; the last one stays. It is
/// removed unless it is published. What a process that was killed left behind is removed by the next
/// one: the lock that a writer holds tells it from a file that is being written.
#[derive(Debug)]
pub(super) struct Aside {
    file: File,
    /// None once it is renamed.
    path: Option<PathBuf>,
}

impl Aside {
    /// Begins a file that shall be at `place`, and makes its folder.
    pub(super) fn create(place: &Path) -> Result<Self> {
        let Some(name) = place.file_name() else {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "expected the name of a file");
            return Err(Error::io(place)(source));
        };
        let folder = folder(place);
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        remove_abandoned(folder, name);
        loop {
            let path = folder.join(aside_name(name));
            let created = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path);
            match created {
                Ok(file) => {
                    // Where a file system has no locks, nothing that is abandoned is removed either.
                    let _ = file.lock();
                    // It may have been taken for abandoned before it was locked.
                    if path.exists() {
                        let path = Some(path);
                        return Ok(Self { file, path });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(path)(error)),
            }
        }
    }

    /// The file, to write to.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Flushes the file to the disk and gives it its place.
    pub(super) fn publish(mut self, place: &Path) -> Result<File> {
        self.file.sync_all().map_err(Error::io(place))?;
        if let Some(path) = &self.path {
            fs::rename(path, place).map_err(Error::io(place))?;
        }
        self.path = None;
        sync_folder(folder(place))?;
        let _ = self.file.unlock();
        self.file.try_clone().map_err(Error::io(place))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What can't be removed now is removed by the next one.
            let _ = fs::remove_file(path);
        }
    }
}

fn folder(place: &Path) -> &Path {
    match place.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// A hidden name that no other writer has: processes in two containers may share an id, hence the time.
fn aside_name(name: &OsStr) -> OsString {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = now.unwrap_or_default().as_nanos();
    let mut aside = OsString::from(".");
    aside.push(name);
    aside.push(format!(".{}-{nanoseconds}{SUFFIX}", std::process::id()));
    aside
}

/// Removes what writers of this file left behind, as far as possible.
fn remove_abandoned(folder: &Path, name: &OsStr) {
    let prefix = [b".", name.as_encoded_bytes(), b"."].concat();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let found = found.as_encoded_bytes();
        let is_aside = found.starts_with(&prefix) && found.ends_with(SUFFIX.as_bytes());
        if is_aside
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = OpenOptions::new().write(true).open(entry.path())
            && file.try_lock().is_ok()
            && fs::remove_file(entry.path()).is_ok()
        {
            log::info!(
                "removed {}, left by a process that was killed",
                entry.path().display()
            );
        }
    }
}

/// Flushes the names in a folder, where the system can do that.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder)
            .and_then(|file| file.sync_all())
            .map_err(Error::io(folder))?;
    }
    Ok(())
}
