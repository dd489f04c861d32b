use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dataset::name_of;
use crate::files::{file_names, stem, unpaired};
use crate::mask_coding::MaskReader;
use crate::{Classes, Dataset, Error, ExifOrientation, Fingerprint, MaskCoding, Result, Sample};

const PHOTOS: &str = "JPEGImages";
const LISTS: &str = "ImageSets/Segmentation";

/// How a [`VocDataset`] is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VocConfig {
    /// The classes; Pascal VOC's 21 by default.
    pub classes: Classes,
    /// How the mask files tell the classes; by palette index by default, as the official ones do.
    pub masks: MaskCoding,
    /// The folder of the masks; `SegmentationClass` by default.
    pub mask_folder: String,
    /// What to do with a photo's EXIF orientation; applied by default.
    pub orientation: ExifOrientation,
}

impl Default for VocConfig {
    fn default() -> Self {
        let classes = Classes::named(VocDataset::CLASS_NAMES).expect("the 21 names differ");
        Self {
            classes: classes.ignore(Classes::default_colour(Classes::IGNORED)),
            masks: MaskCoding::default(),
            mask_folder: "SegmentationClass".into(),
            orientation: ExifOrientation::default(),
        }
    }
}

/// A data set for semantic segmentation in the folders of Pascal VOC 2007 to 2012, or a list of it.
///
/// The photos are `JPEGImages/NAME.jpg`, the masks `SegmentationClass/NAME.png`, and
/// `ImageSets/Segmentation/LIST.txt` has a name a line. The samples are in the list's order. Masks
/// are palette PNGs whose indices are the classes and 255 for the boundaries that count for nothing;
/// copies that were saved as RGB are read with [`MaskCoding::Colours`].
///
/// M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman, "The PASCAL Visual Object
/// Classes (VOC) Challenge", IJCV 88, 2010, <http://host.robots.ox.ac.uk/pascal/VOC/>.
///
/// # Examples
/// ```no_run
/// use unetr_data::{Dataset, VocConfig, VocDataset};
///
/// let train = VocDataset::open("VOCdevkit/VOC2012", "train", &VocConfig::default())?;
/// // The 10,582 training masks of SBD and VOC together.
/// let cfg = VocConfig { mask_folder: "SegmentationClassAug".into(), ..VocConfig::default() };
/// let more = VocDataset::open("VOCdevkit/VOC2012", "trainaug", &cfg)?;
/// println!("{} and {} samples", train.len(), more.len());
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct VocDataset {
    names: Vec<String>,
    photos: PathBuf,
    mask_folder: PathBuf,
    cfg: VocConfig,
    masks: MaskReader,
}

impl VocDataset {
    /// What the classes of Pascal VOC are called.
    pub const CLASS_NAMES: [&'static str; 21] = [
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ];

    /// Opens what `list`, such as `train` or `val`, names in the folder `root`.
    ///
    /// # Errors
    /// When the folder isn't laid out in this way, the list is empty or has a name without photo or
    /// mask, or the masks' coding does not suit the classes. Photos and masks are not opened yet.
    pub fn open(root: impl AsRef<Path>, list: &str, cfg: &VocConfig) -> Result<Self> {
        let root = root.as_ref();
        let masks = MaskReader::new(&cfg.masks, &cfg.classes)?;
        let layout = |found| Error::Layout {
            path: root.into(),
            found,
            expected: format!(
                "{PHOTOS}/NAME.jpg, {}/NAME.png and {LISTS}/{list}.txt with a NAME a line",
                cfg.mask_folder
            ),
        };
        let (photos, mask_folder) = (root.join(PHOTOS), root.join(&cfg.mask_folder));
        if let Some(missing) = [&photos, &mask_folder].into_iter().find(|f| !f.is_dir()) {
            return Err(layout(format!("there is no folder {}", missing.display())));
        }
        let list = root.join(LISTS).join(format!("{list}.txt"));
        let text = fs::read_to_string(&list).map_err(Error::io(&list))?;
        // Some editors begin a file with a byte order mark.
        let names: Vec<_> = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        if names.is_empty() {
            return Err(layout(format!("{} names no photo", list.display())));
        }
        let photo_names = stems(&photos, "jpg")?;
        if let Some(stray) = names.iter().find(|name| !photo_names.contains(**name)) {
            return Err(Error::Listed {
                list,
                name: (*stray).into(),
            });
        }
        let mask_names = stems(&mask_folder, "png")?;
        let lonely: Vec<_> = names
            .iter()
            .copied()
            .filter(|name| !mask_names.contains(*name))
            .collect();
        if !lonely.is_empty() {
            let advice = "add their masks NAME.png or take them off the list";
            return Err(unpaired(&mask_folder, "listed photo(s)", &lonely, advice));
        }
        Ok(Self {
            names: names.into_iter().map(String::from).collect(),
            photos,
            mask_folder,
            cfg: cfg.clone(),
            masks,
        })
    }

    /// The classes.
    pub fn classes(&self) -> &Classes {
        &self.cfg.classes
    }

    /// The samples' names in order, such as `2007_000032`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The photo and the mask of a sample.
    fn files(&self, name: &str) -> [PathBuf; 2] {
        let (image, mask) = (format!("{name}.jpg"), format!("{name}.png"));
        [self.photos.join(image), self.mask_folder.join(mask)]
    }
}

impl Dataset for VocDataset {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let len = self.names.len();
        let name = self.names.get(index).ok_or(Error::Index { index, len })?;
        let [image, mask] = self.files(name);
        self.masks.read(name, &image, &mask, self.cfg.orientation)
    }

    fn name(&self, index: usize) -> String {
        name_of(&self.names, index)
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        let VocConfig {
            classes,
            masks,
            orientation,
            ..
        } = &self.cfg;
        let voc = Fingerprint::new("VocDataset").settings(&(classes, masks, orientation))?;
        let mut files = self.names.iter().flat_map(|name| self.files(name));
        files.try_fold(voc, Fingerprint::file).map(Some)
    }
}

/// The names without extension of the files in `folder` with exactly this one.
fn stems(folder: &Path, extension: &str) -> Result<BTreeSet<String>> {
    let names = file_names(folder, &[extension])?;
    let exact = names.iter().filter(|name| name.ends_with(extension));
    Ok(exact.map(|name| stem(name).to_string()).collect())
}
