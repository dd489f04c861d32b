use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Result, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "RandomGamma";

/// Brightens or darkens a photo's middle tones, at random.
///
/// Each value becomes `255 * (v / 255) ^ gamma`, rounded: black and white stay, a gamma below 1 brightens what lies
/// between. Gamma's logarithm is uniform, so that 0.8 to 1.25 brightens as often as it darkens. The mask stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomGamma {
    /// Least and greatest exponent; 0.8 to 1.25 by default.
    pub gamma: [f64; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for RandomGamma {
    fn default() -> Self {
        Self {
            gamma: [0.8, 1.25],
            p: Probability::HALF,
        }
    }
}

impl Transform for RandomGamma {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let gamma = uniform(rng, self.gamma.map(f64::ln)).exp();
        canvas.colours(NAME, |_, value| {
            (255.0 * (f64::from(value) / 255.0).powf(gamma)).round() as u8
        })
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "gamma", self.gamma, [0.01, 100.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for RandomGamma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.gamma;
        write!(f, "{NAME}(gamma {min} to {max}, p {})", self.p)
    }
}
