use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::failure::Failure;
use crate::files::{beside, create, publish};

/// Writes a file of the cache, which several processes may do at once, aside with `fill`, flushes it and gives it its name,
/// or removes it where that fails.
pub(super) fn write(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let disk = Failure::disk(path);
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let (aside, mut file) = folder.and_then(|()| part(path)).map_err(&disk)?;
    publish(&aside, path, disk, move || fill(&mut file))
}

/// A file beside `path` that nobody else writes: other processes have other numbers, and other threads other counts.
/// What a crash left under such a name, in a container where numbers begin anew, is passed over.
fn part(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = std::process::id();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let part = beside(path, &format!(".{process}-{count}.part"));
        match create(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return Ok((part, file?)),
        }
    }
}
