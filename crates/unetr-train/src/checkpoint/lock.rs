use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::error::At;
use crate::{Error, Result};

const NAME: &str = ".lock";

/// A run's folder, kept for one process: held while it writes there.
///
/// The system releases it when the process ends, however it ends.
///
/// # Examples
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// use unetr_train::{Error, RunLock};
///
/// let lock = RunLock::acquire(folder)?;
/// assert!(matches!(RunLock::acquire(folder), Err(Error::Locked { .. })));
/// drop(lock);
/// RunLock::acquire(folder)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct RunLock {
    /// Closing it releases the lock.
    _file: File,
}

impl RunLock {
    /// Takes a folder, which is made where there is none.
    ///
    /// # Errors
    /// When another process has it, or the file `.lock` in it can't be written.
    pub fn acquire(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).at(folder)?;
        let path = folder.join(NAME);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).at(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // What can't be read is not named.
                let _ = file.read_to_string(&mut process);
                return Err(Error::Locked {
                    folder: folder.to_owned(),
                    process: process.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(error).at(&path),
        }
        file.set_len(0).at(&path)?;
        file.rewind().at(&path)?;
        writeln!(file, "{}", std::process::id()).at(&path)?;
        Ok(Self { _file: file })
    }
}
