use super::{Canvas, PixelType, Probability, Transform};
use crate::{Result, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "ToGray";

/// Takes the colours out of a photo: red, green and blue all become its luma.
///
/// The luma is that of ITU-R BT.601, `0.299 R + 0.587 G + 0.114 B`, rounded as `cv2.COLOR_RGB2GRAY` does. The mask
/// stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToGray {
    /// How often; 0.5 by default.
    pub p: Probability,
}

/// The luma of a colour, OpenCV's fixed-point numbers.
pub(super) fn luma(rgb: [u8; 3]) -> u8 {
    const BITS: u32 = 15;
    let [r, g, b] = rgb.map(u32::from);
    ((9798 * r + 19235 * g + 3735 * b + (1 << (BITS - 1))) >> BITS) as u8
}

impl Transform for ToGray {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let (pixels, _) = canvas.pixels(NAME)?;
        let (rgb, _) = pixels.as_chunks_mut::<3>();
        rgb.iter_mut().for_each(|pixel| *pixel = [luma(*pixel); 3]);
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for ToGray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}(p {})", self.p)
    }
}
