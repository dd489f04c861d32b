use std::path::{Path, PathBuf};

use unetr_data::IMAGE_EXTENSIONS;

use crate::error::At;
use crate::{Error, Result};

/// The photos that some arguments name: files, folders with all photos in and below them, and patterns such as
/// `photos/*.jpg`.
///
/// Files are taken as they are; those of folders and patterns are sorted, and in folders all that is hidden or has another
/// ending than [`IMAGE_EXTENSIONS`] is left alone. None comes twice.
///
/// # Errors
/// When a folder cannot be read, a pattern is none, or an argument names nothing.
///
/// # Examples
/// ```no_run
/// let photos = unetr_predict::find_photos(["holiday/", "cats/*.jpg", "dog.png"])?;
/// # Ok::<(), unetr_predict::Error>(())
/// ```
pub fn find_photos<S: AsRef<str>>(arguments: impl IntoIterator<Item = S>) -> Result<Vec<PathBuf>> {
    let mut photos = Vec::new();
    for argument in arguments {
        let (argument, before) = (argument.as_ref(), photos.len());
        let path = Path::new(argument);
        if path.is_dir() {
            in_folder(path, &mut photos)?;
        } else if path.exists() || !argument.contains(['*', '?', '[']) {
            // A file that is not there is told when it is read.
            photos.push(path.to_owned());
        } else {
            in_pattern(argument, &mut photos)?;
        }
        if photos.len() == before {
            return Err(Error::NoPhotos {
                argument: argument.to_owned(),
                endings: IMAGE_EXTENSIONS.join(", "),
            });
        }
    }
    let mut seen = std::collections::HashSet::new();
    photos.retain(|photo| seen.insert(photo.clone()));
    Ok(photos)
}

/// As the AppleDouble `._NAME` beside NAME, which is no photo.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with('.'))
}

fn is_photo(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| IMAGE_EXTENSIONS.contains(&&*ending.to_lowercase()))
}

fn in_folder(folder: &Path, photos: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .at(folder)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if is_hidden(&path) {
            continue;
        }
        // A link to a folder could lead around in a circle.
        if entry.file_type().at(&path)?.is_dir() {
            in_folder(&path, photos)?;
        } else if is_photo(&path) {
            photos.push(path);
        }
    }
    Ok(())
}

fn in_pattern(pattern: &str, photos: &mut Vec<PathBuf>) -> Result<()> {
    let refused = |reason: String| Error::Pattern {
        pattern: pattern.to_owned(),
        reason,
    };
    let options = glob::MatchOptions {
        require_literal_leading_dot: true,
        ..glob::MatchOptions::default()
    };
    for path in glob::glob_with(pattern, options).map_err(|error| refused(error.to_string()))? {
        let path = path.map_err(|error| refused(error.to_string()))?;
        if path.is_file() {
            photos.push(path);
        }
    }
    Ok(())
}
