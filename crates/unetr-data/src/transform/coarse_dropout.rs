use super::{Canvas, PixelType, Probability, Region, Transform, settings::check_range};
use crate::rng::{below, uniform, whole};
use crate::{Result, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "CoarseDropout";

/// Covers random rectangles of a photo with one colour, so that a network does not rely on a single part of an object.
///
/// T. DeVries, G. W. Taylor, ["Improved Regularization of Convolutional Neural Networks with
/// Cutout"](https://arxiv.org/abs/1708.04552), 2017, which has one square, partly outside the photo as the case may be;
/// here there are several rectangles, all inside. The mask stays as it is, so that what is covered is to be guessed,
/// unless it gets a class of its own.
///
/// # Examples
/// ```
/// use unetr_data::CoarseDropout;
///
/// // The loss ignores class 255.
/// let dropout = CoarseDropout { holes: [1, 8], fill_mask: Some(255), ..CoarseDropout::default() };
/// assert_eq!(
///     dropout.to_string(),
///     "CoarseDropout(1 to 8 holes, height 0.1 to 0.2, width 0.1 to 0.2, fill [0, 0, 0], mask fill 255, p 0.5)"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoarseDropout {
    /// The fewest and the most holes; 1 to 4 by default.
    pub holes: [usize; 2],
    /// Least and greatest height of a hole, in parts of the photo's; 0.1 to 0.2 by default.
    pub height: [f64; 2],
    /// Least and greatest width of a hole, in parts of the photo's; 0.1 to 0.2 by default.
    pub width: [f64; 2],
    /// The colour of the holes; black by default.
    pub fill: [u8; 3],
    /// The class of the holes; by default the mask stays as it is.
    pub fill_mask: Option<u8>,
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for CoarseDropout {
    fn default() -> Self {
        Self {
            holes: [1, 4],
            height: [0.1, 0.2],
            width: [0.1, 0.2],
            fill: [0; 3],
            fill_mask: None,
            p: Probability::HALF,
        }
    }
}

impl CoarseDropout {
    fn hole(&self, rng: &mut SampleRng, [height, width]: [usize; 2]) -> Region {
        let mut side = |length: usize, range| {
            let part = (length as f64 * uniform(rng, range)).round() as usize;
            let part = part.clamp(1, length);
            (below(rng, length - part + 1), part)
        };
        let (y, height) = side(height, self.height);
        let (x, width) = side(width, self.width);
        Region {
            x,
            y,
            width,
            height,
        }
    }
}

/// Gives all pixels of a region, of an image so many columns wide, the same value.
fn cover<T: Copy>(pixels: &mut [T], columns: usize, hole: Region, value: T) {
    for row in pixels
        .chunks_exact_mut(columns)
        .skip(hole.y)
        .take(hole.height)
    {
        row[hole.x..][..hole.width].fill(value);
    }
}

impl Transform for CoarseDropout {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let size = canvas.size()?;
        let holes = (0..whole(rng, self.holes)).map(|_| self.hole(rng, size));
        let holes: Vec<Region> = holes.collect();
        let (pixels, masks) = canvas.pixels(NAME)?;
        let (rgb, _) = pixels.as_chunks_mut::<3>();
        holes
            .iter()
            .for_each(|hole| cover(rgb, size[1], *hole, self.fill));
        if let Some(class) = self.fill_mask {
            for mask in masks {
                holes
                    .iter()
                    .for_each(|hole| cover(mask, size[1], *hole, class));
            }
        }
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        let holes = self.holes.map(|count| count as f64);
        check_range(NAME, "holes", holes, [0.0, 1000.0])?;
        check_range(NAME, "height", self.height, [0.0, 1.0])?;
        check_range(NAME, "width", self.width, [0.0, 1.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for CoarseDropout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fewest, most] = self.holes;
        let [low, high] = self.height;
        let [narrow, wide] = self.width;
        write!(
            f,
            "{NAME}({fewest} to {most} holes, height {low} to {high}, width {narrow} to {wide}, "
        )?;
        write!(f, "fill {:?}, ", self.fill)?;
        if let Some(class) = self.fill_mask {
            write!(f, "mask fill {class}, ")?;
        }
        write!(f, "p {})", self.p)
    }
}
