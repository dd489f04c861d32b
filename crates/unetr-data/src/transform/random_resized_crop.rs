use super::geometry::Step;
use super::settings::{check_range, check_size};
use super::{Canvas, PixelType, Region, Transform};
use crate::rng::{below, uniform};
use crate::{Error, Result, Sample, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "RandomResizedCrop";

/// How many rectangles are drawn before the centre of the photo is taken.
const TRIES: usize = 10;

/// Cuts out a random part of photo and mask and resizes it, as [`Resize`](super::Resize) does.
///
/// The part's area and its ratio of width to height are drawn; the ratio on a logarithmic scale, so
/// that wide and tall are equally likely. Source: Szegedy et al., "Going Deeper with Convolutions",
/// <https://arxiv.org/abs/1409.4842>, section 6.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Height and width of the output in pixels.
    pub size: [usize; 2],
    /// Least and greatest area of the part, in parts of the photo's; 0.08 to 1 by default.
    #[serde(default = "default_scale")]
    pub scale: [f64; 2],
    /// Least and greatest ratio of the part's width to its height; 3/4 to 4/3 by default.
    #[serde(default = "default_ratio")]
    pub ratio: [f64; 2],
}

fn default_scale() -> [f64; 2] {
    [0.08, 1.0]
}

fn default_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

impl RandomResizedCrop {
    /// Crops to this height and width with the default areas and ratios.
    pub fn new(size: [usize; 2]) -> Self {
        Self {
            size,
            scale: default_scale(),
            ratio: default_ratio(),
        }
    }

    /// Draws a part of a photo of this height and width.
    pub fn sample_params(&self, rng: &mut SampleRng, [height, width]: [usize; 2]) -> Region {
        let area = (height * width) as f64;
        for _ in 0..TRIES {
            let area = area * uniform(rng, self.scale);
            let ratio = uniform(rng, self.ratio.map(f64::ln)).exp();
            let part_width = (area * ratio).sqrt().round_ties_even() as usize;
            let part_height = (area / ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&part_width) && (1..=height).contains(&part_height) {
                return Region {
                    y: below(rng, height - part_height + 1),
                    x: below(rng, width - part_width + 1),
                    width: part_width,
                    height: part_height,
                };
            }
        }
        self.centre([height, width])
    }

    /// The largest part in the middle whose ratio is allowed.
    fn centre(&self, [height, width]: [usize; 2]) -> Region {
        let [narrowest, widest] = self.ratio;
        let (h, w) = (height as f64, width as f64);
        let side = |length: f64, limit: usize| (length.round_ties_even() as usize).clamp(1, limit);
        let (part_height, part_width) = if w / h < narrowest {
            (side(w / narrowest, height), width)
        } else if w / h > widest {
            (height, side(h * widest, width))
        } else {
            (height, width)
        };
        Region {
            x: (width - part_width) / 2,
            y: (height - part_height) / 2,
            width: part_width,
            height: part_height,
        }
    }

    /// Cuts out a given part and resizes it.
    ///
    /// # Errors
    /// When the part is not inside the photo, the output would have no pixels, mask and photo
    /// differ in size, or the photo is normalised already.
    pub fn apply_params(&self, sample: Sample, region: Region) -> Result<Sample> {
        Canvas::with(sample, |canvas| self.crop(canvas, region))
    }

    fn crop(&self, canvas: &mut Canvas, region: Region) -> Result<()> {
        check_size(NAME, self.size)?;
        let [height, width] = canvas.size()?;
        if !region.fits([height, width]) {
            return Err(Error::InvalidTransform {
                transform: NAME,
                reason: format!(
                    "{region:?} is not inside a photo of {width}x{height} (width x height)"
                ),
            });
        }
        canvas.geometry(NAME, Step::Resize(region, self.size))
    }
}

impl Transform for RandomResizedCrop {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        let region = self.sample_params(rng, canvas.size()?);
        self.crop(canvas, region)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_size(NAME, self.size)?;
        check_range(NAME, "scale", self.scale, [f64::MIN_POSITIVE, 1.0])?;
        check_range(NAME, "ratio", self.ratio, [0.01, 100.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for RandomResizedCrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        let [smallest, largest] = self.scale;
        let [narrowest, widest] = self.ratio;
        write!(
            f,
            "{NAME}({height}x{width}, area {smallest} to {largest}, ratio {narrowest:.3} to {widest:.3})"
        )
    }
}
