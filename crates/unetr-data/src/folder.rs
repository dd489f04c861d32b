use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::class_map::{ClassMap, ClassTable};
use crate::dataset::name_of;
use crate::files::{file_names, read_pair, stem, unpaired};
use crate::{Dataset, Error, ExifOrientation, Fingerprint, IMAGE_EXTENSIONS, Result, Sample};

/// How a [`FolderDataset`] is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// Which class the values in the mask files stand for.
    pub classes: ClassMap,
    /// What to do with a photo's EXIF orientation; applied by default.
    #[serde(default)]
    pub orientation: ExifOrientation,
}

impl FolderConfig {
    /// Maps the masks' values by `classes`, with EXIF orientation applied.
    pub fn new(classes: ClassMap) -> Self {
        Self {
            classes,
            orientation: ExifOrientation::default(),
        }
    }
}

/// Photos in one folder and their masks in another, paired by file name without extension.
///
/// The samples are in the order of the photos' file names. Files with other extensions than
/// [`IMAGE_EXTENSIONS`], hidden files and folders inside of the two are left alone.
///
/// # Examples
/// ```no_run
/// use unetr_data::{ClassMap, Dataset, FolderConfig, FolderDataset};
///
/// let cfg = FolderConfig::new(ClassMap::new([(0, 0), (128, 1)]).ignore(255));
/// let roads = FolderDataset::open("roads/photos", "roads/masks", &cfg)?;
/// println!("{} samples of {} classes", roads.len(), roads.num_classes());
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FolderDataset {
    pairs: Vec<(PathBuf, PathBuf)>,
    names: Vec<String>,
    cfg: FolderConfig,
    classes: ClassTable,
}

impl FolderDataset {
    /// Pairs the photos of one folder with the masks of another.
    ///
    /// # Errors
    /// When a folder can't be read or has no image, a file has no partner, two files in a folder
    /// differ in nothing but their extension, or the class map isn't valid. The files themselves
    /// are not opened yet.
    pub fn open(
        images: impl AsRef<Path>,
        masks: impl AsRef<Path>,
        cfg: &FolderConfig,
    ) -> Result<Self> {
        let (images, masks) = (images.as_ref(), masks.as_ref());
        let classes = ClassTable::new(&cfg.classes)?;
        let photos = file_names(images, IMAGE_EXTENSIONS)?;
        let image_of = by_stem(images, &photos)?;
        let mask_files = file_names(masks, IMAGE_EXTENSIONS)?;
        let mask_of = by_stem(masks, &mask_files)?;

        require_partners(&image_of, &mask_of, masks, "photo(s)")?;
        require_partners(&mask_of, &image_of, images, "mask(s)")?;
        Ok(Self {
            pairs: photos
                .iter()
                .map(|photo| (images.join(photo), masks.join(mask_of[stem(photo)])))
                .collect(),
            names: photos.iter().map(|photo| stem(photo).to_string()).collect(),
            cfg: cfg.clone(),
            classes,
        })
    }

    /// How many classes the masks have, ignored pixels not counted.
    pub fn num_classes(&self) -> usize {
        self.cfg.classes.num_classes()
    }

    /// The samples' names in order: the photos' file names without extension.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl Dataset for FolderDataset {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let len = self.pairs.len();
        let (image, mask) = self.pairs.get(index).ok_or(Error::Index { index, len })?;
        read_pair(
            &self.names[index],
            image,
            mask,
            self.cfg.orientation,
            &self.classes,
        )
    }

    fn name(&self, index: usize) -> String {
        name_of(&self.names, index)
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        let folder = Fingerprint::new("FolderDataset").settings(&self.cfg)?;
        let mut files = self.pairs.iter().flat_map(|(image, mask)| [image, mask]);
        files.try_fold(folder, Fingerprint::file).map(Some)
    }
}

fn by_stem<'a>(folder: &Path, files: &'a [String]) -> Result<BTreeMap<&'a str, &'a str>> {
    let layout = |found, expected: &str| Error::Layout {
        path: folder.into(),
        found,
        expected: expected.into(),
    };
    if files.is_empty() {
        let expected = format!("files named *.{}", IMAGE_EXTENSIONS.join(", *."));
        return Err(layout("there is no image in this folder".into(), &expected));
    }
    let mut by_stem = BTreeMap::new();
    for file in files {
        if let Some(other) = by_stem.insert(stem(file), file.as_str()) {
            let found = format!("both {other} and {file} are there");
            return Err(layout(
                found,
                "names that differ without their extension; rename one",
            ));
        }
    }
    Ok(by_stem)
}

fn require_partners(
    files: &BTreeMap<&str, &str>,
    partners: &BTreeMap<&str, &str>,
    partner_folder: &Path,
    kind: &str,
) -> Result<()> {
    let lonely: Vec<_> = files
        .iter()
        .filter(|(stem, _)| !partners.contains_key(*stem))
        .map(|(_, file)| *file)
        .collect();
    if lonely.is_empty() {
        return Ok(());
    }
    let advice = "add the missing files under the same names, or remove these";
    Err(unpaired(partner_folder, kind, &lonely, advice))
}
