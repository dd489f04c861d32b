//! Fetching the Oxford-IIIT Pet archives: resumed where a connection broke, checked for size and
//! checksum, unpacked aside and renamed into place, so that a folder is either whole or absent.

mod archive_source;
mod config;
mod event;
mod fetch;
mod unpack;

use std::fs;
use std::path::Path;

pub use archive_source::ArchiveSource;
pub use config::{DownloadConfig, UnpackLimits};
pub use event::DownloadEvent;
pub use unpack::unpack_archive;

use crate::{Error, Result};

/// Fetches both archives of the Oxford-IIIT Pet Dataset (811 MB) and unpacks them in `root`, which
/// is then what [`OxfordPets::open`](crate::OxfordPets::open) takes.
///
/// An archive whose folder is there already is left alone, so that a second call costs nothing; a
/// download that was stopped goes on where it ended. The archives are removed once unpacked.
///
/// # Errors
/// As [`download_archive`].
///
/// # Examples
/// ```no_run
/// use unetr_data::{DownloadEvent, OxfordPets, download_oxford_pets};
///
/// download_oxford_pets("data/oxford_pets", &mut |event| {
///     if let DownloadEvent::Receiving { file, received, total } = event {
///         print!("\r{file}: {} of {} MB", received / 1_000_000, total / 1_000_000);
///     }
/// })?;
/// let pets = OxfordPets::open("data/oxford_pets")?;
/// # Ok::<(), unetr_data::Error>(())
/// ```
pub fn download_oxford_pets(
    root: impl AsRef<Path>,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<()> {
    ArchiveSource::oxford_pets().iter().try_for_each(|source| {
        download_archive(&root, source, &DownloadConfig::default(), progress)
    })
}

/// Fetches one archive and unpacks its folder in `root`, unless that folder is there already.
///
/// What was received is kept as `FILE.part` beside the folder until it is whole. An archive that
/// was put there by hand under its own name is checked and used. One process at a time may fetch
/// to a folder.
///
/// # Errors
/// When no URL delivers the archive in the attempts that `cfg` allows, its size or checksum is not
/// the one expected, it holds what is never unpacked (links, devices, absolute paths, `..`, more
/// than `cfg.limits`), or the disk can't be written. No folder is left half unpacked.
pub fn download_archive(
    root: impl AsRef<Path>,
    source: &ArchiveSource,
    cfg: &DownloadConfig,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<()> {
    let root = root.as_ref();
    source.validate()?;
    fs::create_dir_all(root).map_err(Error::io(root))?;
    let folder = root.join(&source.folder);
    if folder.exists() && fs::remove_dir(&folder).is_err() {
        // It is not empty, and only a whole folder ever gets its name.
        progress(DownloadEvent::Complete { file: &source.file });
        return Ok(());
    }
    let archive = fetch::fetch(root, source, cfg, progress)?;
    unpack_archive(&archive, root, source, &cfg.limits, progress)?;
    fs::remove_file(&archive).map_err(Error::io(&archive))?;
    progress(DownloadEvent::Complete { file: &source.file });
    Ok(())
}
