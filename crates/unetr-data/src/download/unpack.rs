use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{ArchiveSource, DownloadEvent, UnpackLimits};
use crate::{Error, Result};

/// Unpacks the folder of `source` from an `archive` that is on the disk already into the folder `root`.
///
/// It is unpacked beside its place and renamed when it is whole, so that a process that is killed leaves
/// nothing half; what it left is removed first. After a power failure soon after, `verify` finds what was not
/// on the disk yet.
///
/// # Errors
/// When the archive can't be read, it holds what is never unpacked (links, devices, absolute paths, `..`, more
/// than `limits`), the folder is there already, or the disk can't be written.
pub fn unpack_archive(
    archive: &Path,
    root: &Path,
    source: &ArchiveSource,
    limits: &UnpackLimits,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<()> {
    source.validate()?;
    let staging = root.join(format!(".{}.unpacking", source.folder));
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(Error::io(&staging))?;
    }
    fs::create_dir(&staging).map_err(Error::io(&staging))?;
    let unpacked = unpack_into(&staging, archive, source, limits, progress).and_then(|()| {
        let target = root.join(&source.folder);
        fs::rename(staging.join(&source.folder), &target).map_err(Error::io(target))
    });
    let removed = fs::remove_dir_all(&staging).map_err(Error::io(&staging));
    unpacked.and(removed)
}

fn unpack_into(
    staging: &Path,
    archive: &Path,
    source: &ArchiveSource,
    limits: &UnpackLimits,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<()> {
    let refuse = |problem: String| Error::Archive {
        path: archive.into(),
        problem,
    };
    let unreadable = |e: io::Error| refuse(format!("it cannot be read: {e}"));
    let file = File::open(archive).map_err(Error::io(archive))?;
    let mut tar = Archive::new(GzDecoder::new(BufReader::new(file)));
    let (mut count, mut total) = (0_u64, 0_u64);
    // Raw: extension headers come as entries of their own, so that the limits hold for them too.
    for entry in tar.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        count += 1;
        total = total.saturating_add(entry.size());
        if count > limits.entries || total > limits.total_bytes {
            return Err(refuse(format!(
                "more than {} entries or {} bytes",
                limits.entries, limits.total_bytes
            )));
        }
        if is_extension(&entry) {
            check_extension(&mut entry, unreadable, refuse)?;
        } else if let Some(inside) = destination(&entry, &source.folder, limits).map_err(refuse)? {
            write_entry(&mut entry, &staging.join(inside), unreadable)?;
        }
        progress(DownloadEvent::Unpacking {
            file: &source.file,
            entries: count,
        });
    }
    if !staging.join(&source.folder).is_dir() {
        return Err(refuse(format!("no file in a folder `{}`", source.folder)));
    }
    // The gzip checksum stands behind the padding of the last entry.
    io::copy(&mut tar.into_inner().take(1 << 20), &mut io::sink()).map_err(unreadable)?;
    Ok(())
}

fn is_extension<R: Read>(entry: &Entry<'_, R>) -> bool {
    let kind = entry.header().entry_type();
    kind.is_pax_local_extensions() || kind.is_pax_global_extensions()
}

/// Refuses an extension header that gives the next entry another name or size than that entry's own header has, which
/// is what counts here; others are times, attributes and the like.
fn check_extension(
    entry: &mut Entry<'_, impl Read>,
    unreadable: impl Fn(io::Error) -> Error,
    refuse: impl Fn(String) -> Error,
) -> Result<()> {
    const LARGEST: u64 = 1 << 20;
    if entry.size() > LARGEST {
        let size = entry.size();
        return Err(refuse(format!(
            "an extension header has {size} bytes, more than {LARGEST}"
        )));
    }
    let mut records = Vec::new();
    entry.read_to_end(&mut records).map_err(unreadable)?;
    let mut rest = &*records;
    while !rest.is_empty() {
        let (record, behind) = extension_record(rest)
            .ok_or_else(|| refuse("an extension header is damaged".to_owned()))?;
        let names = [&b"path="[..], b"size=", b"linkpath=", b"GNU.sparse."];
        if names.iter().any(|name| record.starts_with(name)) {
            let shown = String::from_utf8_lossy(record);
            return Err(refuse(format!(
                "an extension header says `{}`; make the archive with short ASCII names, as `tar --format=ustar`",
                shown.escape_debug()
            )));
        }
        rest = behind;
    }
    Ok(())
}

/// The first record of an extension header, `key=value`, and what is behind it. Each is `LENGTH key=value` and the end of
/// a line, which its length counts too.
fn extension_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = records.iter().take_while(|byte| byte.is_ascii_digit());
    let (length, _) = records.split_at(digits.count());
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    let (record, behind) = records.split_at_checked(length)?;
    let (_, record) = record.split_at(record.iter().position(|&byte| byte == b' ')?);
    match record {
        [b' ', record @ .., b'\n'] => Some((record, behind)),
        _ => None,
    }
}

/// Where an entry is written, relative to the folder that is unpacked into; `None` for what is
/// skipped: folders (they are made for their files), AppleDouble files and whatever lies outside of `folder`.
fn destination<R: Read>(
    entry: &Entry<'_, R>,
    folder: &str,
    limits: &UnpackLimits,
) -> Result<Option<PathBuf>, String> {
    let bytes = entry.path_bytes();
    let shown = String::from_utf8_lossy(&bytes);
    let kind = entry.header().entry_type();
    match kind {
        EntryType::Regular | EntryType::Directory => {}
        _ => {
            return Err(format!(
                "`{shown}` is of kind {kind:?}, neither a file nor a folder"
            ));
        }
    }
    if shown.contains(['\\', ':', '\0', char::REPLACEMENT_CHARACTER]) {
        return Err(format!(
            "`{}` is not a portable name",
            shown.escape_default()
        ));
    }
    let mut inside = PathBuf::new();
    for component in Path::new(shown.as_ref()).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            _ => return Err(format!("`{shown}` leads out of the archive's own folder")),
        }
    }
    if entry.size() > limits.file_bytes {
        let (size, limit) = (entry.size(), limits.file_bytes);
        return Err(format!("`{shown}` has {size} bytes, more than {limit}"));
    }
    let is_folder = kind == EntryType::Directory || shown.ends_with('/');
    let is_apple_double = inside
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"));
    let is_inside = inside.starts_with(folder) && inside != Path::new(folder);
    Ok((is_inside && !is_folder && !is_apple_double).then_some(inside))
}

fn write_entry(
    entry: &mut impl Read,
    path: &Path,
    unreadable: impl Fn(io::Error) -> Error,
) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
    }
    let mut file = File::create(path).map_err(Error::io(path))?;
    let mut buffer = [0; 32 << 10];
    loop {
        let count = entry.read(&mut buffer).map_err(&unreadable)?;
        if count == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..count]).map_err(Error::io(path))?;
    }
}
