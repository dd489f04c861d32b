use super::{Canvas, PixelType, Probability, Transform};
use crate::{Result, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "Equalize";

/// Spreads the values of a photo's red, green and blue, each by itself, evenly over 0 to 255.
///
/// The least value of a channel becomes 0, and any other the share of the other pixels that are at most as bright, as
/// `cv2.equalizeHist` does; a channel of one value stays. [`Clahe`](crate::Clahe) does so place by place and keeps the
/// colours. The mask stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Equalize {
    /// How often; 0.5 by default.
    pub p: Probability,
}

/// What the values of a channel become, of which there are so many.
fn table(counts: &[usize; 256]) -> [u8; 256] {
    let least = counts.iter().position(|&count| count > 0).unwrap_or(0);
    let others: usize = counts[least + 1..].iter().sum();
    if others == 0 {
        return std::array::from_fn(|value| value as u8);
    }
    // f32, and rounded to even, as in OpenCV.
    let scale = 255.0 / others as f32;
    let mut up_to = 0;
    std::array::from_fn(|value| {
        if value > least {
            up_to += counts[value];
        }
        (up_to as f32 * scale).round_ties_even() as u8
    })
}

impl Transform for Equalize {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let (pixels, _) = canvas.pixels(NAME)?;
        let mut counts = [[0; 256]; 3];
        for pixel in pixels.as_chunks::<3>().0 {
            for (counts, &value) in counts.iter_mut().zip(pixel) {
                counts[usize::from(value)] += 1;
            }
        }
        let tables = counts.each_ref().map(table);
        canvas.colours(NAME, |channel, value| tables[channel][usize::from(value)])
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for Equalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}(p {})", self.p)
    }
}
