use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use serde::{Deserialize, Serialize};
use unetr_data::Classes;

use super::PredictionSample;
use super::picture::Picture;
use super::predictions::{cells, check_sizes};
use crate::error::At;
use crate::{Error, Result, files};

/// A prediction and how good it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredSample {
    /// What the photo is called.
    pub name: String,
    /// The mean IoU of this photo alone. One that isn't finite is never chosen.
    pub score: f64,
    /// The photo, the truth and the prediction.
    pub pictures: PredictionSample,
}

/// Why a prediction is in a gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// One of the highest scores, the highest first.
    Best,
    /// One of those in the middle.
    Median,
    /// One of the lowest scores, the lowest first.
    Worst,
}

impl Rank {
    fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Median => "median",
            Self::Worst => "worst",
        }
    }
}

/// The best, the median and the worst predictions, in a folder of their own: `gallery.json`, and the
/// pictures it names.
///
/// # Examples
/// ```
/// # use image::{GrayImage, RgbImage};
/// # use unetr_data::Classes;
/// # use unetr_train::{Gallery, PredictionSample, RunFolder, ScoredSample};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let run = RunFolder::new(folder.path());
/// # let sample = |name: &str, score| ScoredSample {
/// #     name: name.to_owned(),
/// #     score,
/// #     pictures: PredictionSample {
/// #         image: RgbImage::new(64, 48),
/// #         mask: GrayImage::new(64, 48),
/// #         prediction: GrayImage::new(64, 48),
/// #     },
/// # };
/// let samples = [sample("Bengal_1", 0.71), sample("Persian_14", 0.93), sample("pug_2", 0.38)];
/// let classes = Classes::viridis(["pet", "background", "boundary"])?;
/// let gallery = Gallery::write(run.gallery(), 3550, &samples, 1, &classes)?;
/// let names = gallery.entries().iter().map(|entry| entry.name.as_str());
/// assert_eq!(names.collect::<Vec<_>>(), ["Persian_14", "Bengal_1", "pug_2"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gallery {
    step: u64,
    classes: Classes,
    entries: Vec<GalleryEntry>,
}

/// A prediction of a gallery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GalleryEntry {
    /// Why it is there.
    pub rank: Rank,
    /// What the photo is called.
    pub name: String,
    /// The mean IoU of this photo alone.
    pub score: f64,
    /// The photo.
    pub photo: Picture,
    /// The true classes, in their colours.
    pub truth: Picture,
    /// The predicted classes, in their colours.
    pub prediction: Picture,
    /// The predicted classes over the photo, see [`draw_overlay`](unetr_predict::draw_overlay).
    pub overlay: Picture,
}

impl Gallery {
    /// Where the `count` best, median and worst of `scores` stand, in the order of a gallery.
    ///
    /// No sample comes twice: of fewer than `3 * count` samples, each rank has about a third.
    /// Scores that aren't finite are left out, and of equal ones the earlier is the better.
    ///
    /// [`write`](Self::write) chooses by itself. Where not all pictures fit into memory, choose by the scores, and make
    /// the pictures of these alone: what is written is the same.
    pub fn choose(scores: &[f64], count: usize) -> Vec<(Rank, usize)> {
        let mut order: Vec<usize> = (0..scores.len())
            .filter(|&index| scores[index].is_finite())
            .collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let best = count.min(order.len().div_ceil(3));
        let worst = count.min((order.len() - best).div_ceil(2));
        let between = &order[best..order.len() - worst];
        let median = count.min(between.len());
        // Their middle is the middle of all where best and worst are as many.
        let first = (between.len() - median) / 2;
        let ranked = |rank| move |&index: &usize| (rank, index);
        let worst = order.iter().rev().take(worst).map(ranked(Rank::Worst));
        order[..best]
            .iter()
            .map(ranked(Rank::Best))
            .chain(
                between[first..first + median]
                    .iter()
                    .map(ranked(Rank::Median)),
            )
            .chain(worst)
            .collect()
    }

    /// Writes the `count` best, median and worst of `samples`, as predicted after `step` updates, and removes the
    /// pictures of the gallery that was there.
    ///
    /// Every picture is scaled so that its longer side has 256 pixels.
    ///
    /// # Errors
    /// When the pictures of a chosen sample differ in size or are empty, or when a file can't be written.
    pub fn write(
        folder: impl AsRef<Path>,
        step: u64,
        samples: &[ScoredSample],
        count: usize,
        classes: &Classes,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).at(folder)?;
        let scores: Vec<f64> = samples.iter().map(|sample| sample.score).collect();
        let mut entries = Vec::new();
        for (rank, index) in Self::choose(&scores, count) {
            let place = 1 + entries
                .iter()
                .filter(|entry: &&GalleryEntry| entry.rank == rank)
                .count();
            let sample = &samples[index];
            check_sizes(index, &sample.pictures)?;
            let [image, mask, _, prediction, overlay] = cells(&sample.pictures, classes)?;
            // The step makes the name new: who reads meanwhile finds the former pictures.
            let store = |kind: &str, picture: &RgbImage, format: ImageFormat| {
                let ending = format.extensions_str()[0];
                let name = format!("step-{step:07}-{}-{place}-{kind}.{ending}", rank.name());
                Picture::write(folder, name, picture, format)
            };
            entries.push(GalleryEntry {
                rank,
                name: sample.name.clone(),
                score: sample.score,
                photo: store("photo", &image, ImageFormat::Jpeg)?,
                truth: store("truth", &mask, ImageFormat::Png)?,
                prediction: store("prediction", &prediction, ImageFormat::Png)?,
                overlay: store("overlay", &overlay, ImageFormat::Jpeg)?,
            });
        }
        let gallery = Self {
            step,
            classes: classes.clone(),
            entries,
        };
        files::write_json(&Self::index(folder), &gallery)?;
        gallery.remove_others(folder)?;
        Ok(gallery)
    }

    /// Reads a gallery with its pictures, also while it is being replaced.
    ///
    /// # Errors
    /// When a file can't be read, `gallery.json` is no gallery, or a file it names is neither JPEG nor PNG.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let index = || files::read_json::<Self>(&Self::index(folder));
        let mut gallery = index()?;
        loop {
            match gallery.clone().load(folder) {
                Err(Error::Io { path, source }) if source.kind() == ErrorKind::NotFound => {
                    let newer = index()?;
                    if newer == gallery {
                        return Err(Error::Io { path, source });
                    }
                    gallery = newer;
                }
                loaded => return loaded,
            }
        }
    }

    /// Updates made before the predictions.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The predictions: the best, the median and the worst.
    pub fn entries(&self) -> &[GalleryEntry] {
        &self.entries
    }

    /// Names and colours of the classes.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// The file about the pictures, which is written after them.
    pub(super) fn index(folder: &Path) -> PathBuf {
        folder.join("gallery.json")
    }

    /// With the bytes of the pictures.
    fn load(mut self, folder: &Path) -> Result<Self> {
        for picture in self.entries.iter_mut().flat_map(GalleryEntry::pictures_mut) {
            picture.load(folder)?;
        }
        Ok(self)
    }

    /// Removes the pictures of former galleries.
    fn remove_others(&self, folder: &Path) -> Result<()> {
        let own: Vec<&str> = self
            .entries
            .iter()
            .flat_map(GalleryEntry::pictures)
            .map(Picture::name)
            .collect();
        for entry in std::fs::read_dir(folder).at(folder)? {
            let entry = entry.at(folder)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with("step-") && !own.contains(&name) {
                std::fs::remove_file(entry.path()).at(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl GalleryEntry {
    fn pictures(&self) -> [&Picture; 4] {
        [&self.photo, &self.truth, &self.prediction, &self.overlay]
    }

    fn pictures_mut(&mut self) -> [&mut Picture; 4] {
        [
            &mut self.photo,
            &mut self.truth,
            &mut self.prediction,
            &mut self.overlay,
        ]
    }
}
