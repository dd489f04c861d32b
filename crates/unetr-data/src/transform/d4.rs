use super::geometry::{Mirrored, Step};
use super::{Canvas, PixelType, Probability, Transform};
use crate::{Result, SampleRng, rng::below};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "D4";

/// Turns photo and mask by a multiple of 90° and mirrors them, or not: one of the eight symmetries of the square, each
/// equally likely.
///
/// For photos without an up and down, such as those taken from above or through a microscope. Every pixel is copied.
/// Half of the symmetries swap height and width, so that photos that are not square need a `Resize` or a crop after it
/// to be of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct D4 {
    /// How often; always by default, of which one in eight stays as it is.
    pub p: Probability,
}

impl Default for D4 {
    fn default() -> Self {
        Self {
            p: Probability::ALWAYS,
        }
    }
}

impl Transform for D4 {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let [transposed, x, y] = [(); 3].map(|()| below(rng, 2) == 1);
        if transposed {
            canvas.geometry(NAME, Step::Transpose)?;
        }
        canvas.geometry(NAME, Step::Mirror(Mirrored { x, y }))
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for D4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}(p {})", self.p)
    }
}
