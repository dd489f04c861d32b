use super::convolution::{Tap, convolve};
use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Result, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "GaussianBlur";

/// Blurs a photo by a Gaussian of random width.
///
/// The kernel is as long as that of `cv2.GaussianBlur` for 8 bits, about 3 deviations to either side, and the photo is
/// mirrored at its border. The mask stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianBlur {
    /// Least and greatest standard deviation in pixels; 0.5 to 2 by default.
    pub sigma: [f64; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for GaussianBlur {
    fn default() -> Self {
        Self {
            sigma: [0.5, 2.0],
            p: Probability::HALF,
        }
    }
}

/// The places of a kernel of this deviation and their weights, which sum to 1.
fn kernel(sigma: f64) -> impl Iterator<Item = (isize, f32)> + Clone {
    let length = (6.0 * sigma + 1.0).round_ties_even() as isize | 1;
    let weight = move |i: isize| (-0.5 * (i as f64 / sigma).powi(2)).exp();
    let places = -(length / 2)..=length / 2;
    let total: f64 = places.clone().map(weight).sum();
    places.map(move |i| (i, (weight(i) / total) as f32))
}

impl Transform for GaussianBlur {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let kernel = kernel(uniform(rng, self.sigma));
        let across = kernel.clone().map(|(x, weight)| Tap { x, y: 0, weight });
        let down = kernel.map(|(y, weight)| Tap { x: 0, y, weight });
        let (pixels, _) = canvas.pixels(NAME)?;
        convolve(pixels, &[across.collect(), down.collect()]);
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "sigma", self.sigma, [0.01, 100.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for GaussianBlur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.sigma;
        write!(f, "{NAME}(sigma {min} to {max}, p {})", self.p)
    }
}
