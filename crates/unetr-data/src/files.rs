use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use image::{GrayImage, RgbImage};

use crate::class_map::ClassTable;
use crate::{Error, ExifOrientation, Result, Sample, read_image, read_mask};

/// The names of the files in `folder` with one of these lower-case extensions, in the order in
/// which Python sorts paths: by code point, extension included. Hidden files, such as the
/// AppleDouble `._NAME` beside NAME, and folders are left out.
pub(crate) fn file_names(folder: &Path, extensions: &[&str]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let path = entry.path();
        let extension = path.extension().map(OsStr::to_ascii_lowercase);
        let is_one = extension.is_some_and(|e| extensions.iter().any(|one| e == **one));
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_one || is_hidden || path.is_dir() {
            continue;
        }
        let not_utf8 = |_| {
            let source = std::io::Error::other("the file's name is not UTF-8; rename it");
            Error::io(&path)(source)
        };
        names.push(entry.file_name().into_string().map_err(not_utf8)?);
    }
    names.sort_unstable();
    Ok(names)
}

/// A file's name without its extension.
pub(crate) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The error about files whose partners are not in `folder`; `kind` names the files.
pub(crate) fn unpaired(folder: &Path, kind: &str, names: &[&str], advice: &str) -> Error {
    const SHOWN: usize = 5;
    let mut examples = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        examples.push_str(", …");
    }
    Error::Unpaired {
        path: folder.into(),
        count: format!("{} {kind}", names.len()),
        examples: format!("{examples}; {advice}"),
    }
}

/// Checks that a photo and its mask, each given with its file, have one size.
pub(crate) fn check_sizes(
    (image_path, image): (&Path, &RgbImage),
    (mask_path, mask): (&Path, &GrayImage),
) -> Result<()> {
    if image.dimensions() == mask.dimensions() {
        return Ok(());
    }
    Err(Error::SizeMismatch {
        image: image_path.into(),
        image_size: image.dimensions(),
        mask: mask_path.into(),
        mask_size: mask.dimensions(),
    })
}

/// Reads a photo and its mask, checks that they fit and maps the mask's values to classes.
pub(crate) fn read_pair(
    name: &str,
    image_path: &Path,
    mask_path: &Path,
    orientation: ExifOrientation,
    classes: &ClassTable,
) -> Result<Sample> {
    let image = read_image(image_path, orientation)?;
    let mut mask = read_mask(mask_path)?;
    check_sizes((image_path, &image), (mask_path, &mask))?;
    classes.apply(&mut mask).map_err(|stray| Error::MaskValue {
        path: mask_path.into(),
        value: stray.value,
        x: stray.x,
        y: stray.y,
        expected: classes.expected().into(),
    })?;
    Ok(Sample::new(name, image, mask))
}
