use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::rng::{normal, uniform};
use crate::{Result, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "GaussianNoise";

/// Adds normally distributed noise to a photo, another number to every value of every channel.
///
/// The results are rounded and held to 0 to 255. The mask stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianNoise {
    /// Least and greatest standard deviation, in parts of the whole range; 0.02 to 0.1 by default.
    pub std: [f64; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for GaussianNoise {
    fn default() -> Self {
        Self {
            std: [0.02, 0.1],
            p: Probability::HALF,
        }
    }
}

impl Transform for GaussianNoise {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let std = 255.0 * uniform(rng, self.std) as f32;
        let (pixels, _) = canvas.pixels(NAME)?;
        for value in pixels.iter_mut() {
            // `as` truncates and holds to 0 to 255.
            *value = (f32::from(*value) + std * normal(rng) + 0.5) as u8;
        }
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "std", self.std, [0.0, 1.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for GaussianNoise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.std;
        write!(f, "{NAME}(std {min} to {max}, p {})", self.p)
    }
}
