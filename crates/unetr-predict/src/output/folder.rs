use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, RgbImage};
use serde::{Deserialize, Serialize};
use unetr_data::Classes;

use super::{contours, draw_overlay, write_labels_png};
use crate::error::At;
use crate::{ClassArea, Error, Result, Segmentation};

/// A file that is written for a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputKind {
    /// `NAME.mask.png`: the classes' numbers in the classes' colours.
    Mask,
    /// `NAME.overlay.png`: the classes over the photo.
    Overlay,
    /// `NAME.confidence.png`: the probability of the predicted class, black for 0 and white for 1.
    Confidence,
    /// `NAME.contours.json`: the lines around the regions of every class.
    Contours,
    /// `NAME.probabilities.safetensors`: `probabilities`, `[classes, height, width]`, which a segmentation has with
    /// [`Probabilities::All`](crate::Probabilities::All).
    Probabilities,
}

impl OutputKind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Mask => "mask.png",
            Self::Overlay => "overlay.png",
            Self::Confidence => "confidence.png",
            Self::Contours => "contours.json",
            Self::Probabilities => "probabilities.safetensors",
        }
    }
}

/// What a photo shows, in one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PhotoSummary {
    /// The photo's file.
    pub photo: PathBuf,
    /// The files about it, without folder.
    pub files: Vec<String>,
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// What each class covers, by name.
    pub areas: BTreeMap<String, ClassArea>,
}

/// A folder of files about photos.
///
/// # Examples
/// ```no_run
/// use std::path::Path;
/// use unetr_data::{ExifOrientation, read_image};
/// use unetr_predict::{OutputFolder, OutputKind, Segmenter};
///
/// let segmenter = Segmenter::from_pretrained("runs/quickstart/model")?;
/// let kinds = [OutputKind::Mask, OutputKind::Contours];
/// let folder = OutputFolder::create("masks", kinds, segmenter.classes())?;
/// let path = Path::new("photo.jpg");
/// let photo = read_image(path, ExifOrientation::Apply)?;
/// let summary = folder.write("photo", path, &photo, &segmenter.segment(&photo)?)?;
/// println!("{:?}", summary.files); // photo.mask.png, photo.contours.json
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct OutputFolder {
    path: PathBuf,
    kinds: Vec<OutputKind>,
    classes: Classes,
}

impl OutputFolder {
    /// A folder for files of some kinds, which is created if needed.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(
        path: impl Into<PathBuf>,
        kinds: impl IntoIterator<Item = OutputKind>,
        classes: &Classes,
    ) -> Result<Self> {
        let path = path.into();
        std::fs::create_dir_all(&path).at(&path)?;
        Ok(Self {
            path,
            kinds: kinds.into_iter().collect(),
            classes: classes.clone(),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name for the files of each photo: that of its own file without ending, or else, where another has it
    /// already, with a number.
    pub fn names(photos: &[PathBuf]) -> Vec<String> {
        let mut taken = HashSet::new();
        let name = |photo: &PathBuf| {
            let stem = photo
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let numbered = (2..).map(|number| format!("{stem}-{number}"));
            let mut names = std::iter::once(stem.clone()).chain(numbered);
            // On some systems names that differ in case are one.
            let free = names.find(|name| taken.insert(name.to_lowercase()));
            free.expect("there is a number that is not taken")
        };
        photos.iter().map(name).collect()
    }

    /// Writes the files of a photo.
    ///
    /// # Errors
    /// When one cannot be written, or would be of probabilities that the segmentation does not have.
    pub fn write(
        &self,
        name: &str,
        path: &Path,
        photo: &RgbImage,
        segmentation: &Segmentation,
    ) -> Result<PhotoSummary> {
        let mut files = Vec::new();
        for &kind in &self.kinds {
            let file = format!("{name}.{}", kind.suffix());
            self.write_one(kind, &self.path.join(&file), photo, segmentation)?;
            files.push(file);
        }
        let names = self.classes.names().iter().cloned();
        Ok(PhotoSummary {
            photo: path.to_owned(),
            files,
            width: photo.width(),
            height: photo.height(),
            areas: names.zip(segmentation.areas(self.classes.len())).collect(),
        })
    }

    fn write_one(
        &self,
        kind: OutputKind,
        file: &Path,
        photo: &RgbImage,
        segmentation: &Segmentation,
    ) -> Result<()> {
        let saved = |result: image::ImageResult<()>| {
            result.map_err(|error| Error::Picture {
                path: file.to_owned(),
                reason: error.to_string(),
            })
        };
        let labels = &segmentation.labels;
        match kind {
            OutputKind::Mask => write_labels_png(file, labels, &self.classes),
            OutputKind::Overlay => saved(draw_overlay(photo, labels, &self.classes)?.save(file)),
            OutputKind::Confidence => {
                let (width, height) = labels.dimensions();
                let byte =
                    |x, y| (segmentation.confidence.get_pixel(x, y).0[0] * 255.).round() as u8;
                saved(GrayImage::from_fn(width, height, |x, y| Luma([byte(x, y)])).save(file))
            }
            OutputKind::Contours => {
                // Half a pixel off at most: steps of a line along pixels are gone, corners are not.
                const TOLERANCE: f64 = 0.7;
                let names = self.classes.names().iter();
                let of_class = |(class, name)| (name, contours(labels, class, TOLERANCE));
                let all: BTreeMap<_, _> = (0..=u8::MAX).zip(names).map(of_class).collect();
                std::fs::write(file, serde_json::to_vec(&all).at(file)?).at(file)
            }
            OutputKind::Probabilities => {
                let probabilities = segmentation.probabilities.as_ref();
                let probabilities = probabilities.ok_or_else(|| Error::Setting {
                    what: "Segmentation::probabilities",
                    found: "none".to_owned(),
                    expected: "those of a segmenter with `Probabilities::All`",
                })?;
                let tensors = HashMap::from([("probabilities", probabilities.clone())]);
                candle_core::safetensors::save(&tensors, file).map_err(|error| Error::Picture {
                    path: file.to_owned(),
                    reason: error.to_string(),
                })
            }
        }
    }
}
