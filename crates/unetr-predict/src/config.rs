use serde::{Deserialize, Serialize};
use unetr_model::Precision;

use crate::{Error, Result, SlidingWindow};

/// How a photo of any size comes to a network of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fit {
    /// The whole photo is resized to the network's size, as in evaluation; scores are brought back to the photo's
    /// size.
    #[default]
    Resize,
    /// The same with the photo's proportions kept, and its mean colour around it.
    Pad,
    /// The photo stays as it is, and windows of the network's size go over it: for networks that were trained on
    /// parts of photos, and for photos of any size.
    Window,
}

/// Mirror images of which the scores are averaged with those of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flips {
    /// None.
    #[default]
    None,
    /// Left to right.
    Horizontal,
    /// Left to right, top to bottom, and both.
    All,
}

impl Flips {
    /// The axes of `[batch, channels, height, width]` along which each image is mirrored.
    pub(crate) fn axes(self) -> &'static [&'static [usize]] {
        match self {
            Self::None => &[&[]],
            Self::Horizontal => &[&[], &[3]],
            Self::All => &[&[], &[3], &[2], &[2, 3]],
        }
    }
}

/// Whether a [`Segmentation`](crate::Segmentation) has the probabilities of all classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probabilities {
    /// It has that of the predicted class alone.
    #[default]
    Predicted,
    /// It has all of them: four bytes for every class and pixel.
    All,
}

/// How a [`Segmenter`](crate::Segmenter) works.
///
/// # Examples
/// ```
/// use unetr_predict::{Fit, Flips, SegmenterConfig};
///
/// let config = SegmenterConfig {
///     fit: Fit::Window,
///     flips: Flips::Horizontal,
///     scales: vec![0.75, 1., 1.25],
///     ..SegmenterConfig::default()
/// };
/// config.validate()?;
/// # Ok::<(), unetr_predict::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmenterConfig {
    /// How a photo comes to the network's size; resized by default.
    pub fit: Fit,
    /// How windows overlap and are put together where there are several.
    pub window: SlidingWindow,
    /// Mirror images that are predicted too; none by default.
    pub flips: Flips,
    /// Sizes at which a photo is predicted, as factors; `[1]` by default. Scores are averaged. A photo that is then
    /// larger than the network is predicted in windows.
    pub scales: Vec<f64>,
    /// Windows or photos that the network takes at once; 8 by default.
    pub batch_size: usize,
    /// In what numbers the network multiplies; as they are by default.
    pub precision: Precision,
    /// Which probabilities a segmentation has; that of the predicted class by default.
    pub probabilities: Probabilities,
}

impl Default for SegmenterConfig {
    fn default() -> Self {
        Self {
            fit: Fit::default(),
            window: SlidingWindow::default(),
            flips: Flips::default(),
            scales: vec![1.],
            batch_size: 8,
            precision: Precision::default(),
            probabilities: Probabilities::default(),
        }
    }
}

impl SegmenterConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// When one is out of range.
    pub fn validate(&self) -> Result<()> {
        self.window.validate()?;
        if self.batch_size == 0 {
            return Err(Error::Setting {
                what: "the batch size",
                found: "0".to_owned(),
                expected: "at least 1",
            });
        }
        let possible = |scale: &f64| (1. / 16. ..=16.).contains(scale);
        if self.scales.is_empty() || !self.scales.iter().all(possible) {
            return Err(Error::Setting {
                what: "the list of scales",
                found: format!("{:?}", self.scales),
                expected: "at least one, each from 1/16 to 16",
            });
        }
        Ok(())
    }
}
