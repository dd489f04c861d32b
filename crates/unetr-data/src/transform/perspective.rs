use super::geometry::{Fill, Step};
use super::projection::Projection;
use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Error, Result, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "Perspective";

/// Moves the four corners of photo and mask at random, as if the photo were seen from aside; the size stays.
///
/// Every corner moves along both sides by amounts of its own. The photo is interpolated linearly, the mask takes the
/// nearest pixel. What comes in from outside takes the two fill values, and at the border the photo blends into its
/// fill.
///
/// # Examples
/// ```
/// use unetr_data::Perspective;
///
/// // Corners move inwards by up to a tenth of the sides; class 1 is what lies outside the photo.
/// let perspective = Perspective::new([0.0, 0.1], 1);
/// assert_eq!(
///     perspective.to_string(),
///     "Perspective(corners 0 to 0.1, fill [0, 0, 0], mask fill 1, p 0.5)"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Perspective {
    /// Least and greatest way of a corner, in parts of the width and of the height, drawn for each; -0.25 to 0.25 at
    /// most. Positive is inwards, where the fill appears; negative is outwards, where the photo leaves its frame.
    pub distortion: [f64; 2],
    /// The class of what is outside the photo. There is no default, as only the dataset knows it; 255 where the loss
    /// ignores that class.
    pub fill_mask: u8,
    /// The colour of what is outside the photo; black by default.
    #[serde(default)]
    pub fill: [u8; 3],
    /// How often; 0.5 by default.
    #[serde(default)]
    pub p: Probability,
}

impl Perspective {
    /// Moves the corners by parts of the sides between these two, in half of the samples; what is outside becomes
    /// black and `fill_mask`.
    pub fn new(distortion: [f64; 2], fill_mask: u8) -> Self {
        Self {
            distortion,
            fill_mask,
            fill: [0; 3],
            p: Probability::HALF,
        }
    }
}

impl Transform for Perspective {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let size = canvas.size()?;
        let [height, width] = size.map(|length| length as f64);
        // The photo's corners are those of its outermost pixels, half a pixel beyond their centres.
        let corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        let place = |[x, y]: [f64; 2]| [x * width - 0.5, y * height - 0.5];
        let moved = corners.map(|corner: [f64; 2]| {
            corner.map(|end| end + (1.0 - 2.0 * end) * uniform(rng, self.distortion))
        });
        let projection = Projection::between(moved.map(place), corners.map(place));
        let projection = projection.ok_or_else(|| Error::InvalidTransform {
            transform: NAME,
            reason: format!(
                "three corners moved by {:?} lie on one line",
                self.distortion
            ),
        })?;
        let fill = Fill {
            colour: self.fill,
            class: self.fill_mask,
        };
        canvas.geometry(NAME, Step::Warp(projection, size, fill))
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        // Corners that move by less than a quarter of the sides form a convex figure whichever way they go.
        check_range(NAME, "distortion", self.distortion, [-0.25, 0.25])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for Perspective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.distortion;
        write!(f, "{NAME}(corners {min} to {max}, ")?;
        write!(
            f,
            "fill {:?}, mask fill {}, p {})",
            self.fill, self.fill_mask, self.p
        )
    }
}
