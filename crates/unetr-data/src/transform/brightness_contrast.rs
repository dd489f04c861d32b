use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Result, Sample, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "RandomBrightnessContrast";

/// Changes a photo's contrast by a factor and its brightness by an offset, at random.
///
/// Each value becomes `v * (1 + contrast) + 255 * brightness`, held to 0 to 255 and truncated, as
/// albumentations does with `brightness_by_max`. The mask stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomBrightnessContrast {
    /// Least and greatest offset, in parts of the whole range; -0.2 to 0.2 by default.
    pub brightness: [f64; 2],
    /// Least and greatest change of the factor; -0.2 to 0.2 by default.
    pub contrast: [f64; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

/// What [`RandomBrightnessContrast`] drew: a value `v` becomes `v * alpha + beta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BrightnessContrastParams {
    /// The factor.
    pub alpha: f32,
    /// The offset, on the scale of 0 to 255.
    pub beta: f32,
}

impl BrightnessContrastParams {
    fn change(self, canvas: &mut Canvas) -> Result<()> {
        canvas.colours(NAME, |_, value| {
            // `as` truncates and holds to 0 to 255.
            (f32::from(value) * self.alpha + self.beta) as u8
        })
    }
}

impl Default for RandomBrightnessContrast {
    fn default() -> Self {
        Self {
            brightness: [-0.2, 0.2],
            contrast: [-0.2, 0.2],
            p: Probability::HALF,
        }
    }
}

impl RandomBrightnessContrast {
    /// Draws the factor and the offset.
    pub fn sample_params(&self, rng: &mut SampleRng) -> BrightnessContrastParams {
        BrightnessContrastParams {
            alpha: (1.0 + uniform(rng, self.contrast)) as f32,
            beta: (255.0 * uniform(rng, self.brightness)) as f32,
        }
    }

    /// Changes a photo by a given factor and offset.
    ///
    /// # Errors
    /// When the photo is normalised already.
    pub fn apply_params(&self, sample: Sample, params: BrightnessContrastParams) -> Result<Sample> {
        Canvas::with(sample, |canvas| params.change(canvas))
    }
}

impl Transform for RandomBrightnessContrast {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        self.sample_params(rng).change(canvas)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "brightness", self.brightness, [-1.0, 1.0])?;
        check_range(NAME, "contrast", self.contrast, [-1.0, 10.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for RandomBrightnessContrast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [dark, bright] = self.brightness;
        let [flat, rich] = self.contrast;
        let p = self.p;
        write!(
            f,
            "{NAME}(brightness {dark} to {bright}, contrast {flat} to {rich}, p {p})"
        )
    }
}
