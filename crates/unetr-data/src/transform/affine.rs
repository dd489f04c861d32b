use super::{
    PixelType, Probability, Transform, pixels::into_u8, settings::check_range, warp::Rotation,
};
use crate::{Image, Result, Sample, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Rotates photo and mask about their centre by a random angle; the size stays.
///
/// The photo is interpolated linearly, the mask takes the nearest pixel. What is rotated in from
/// outside takes the two fill values, and at the border the photo blends into its fill.
///
/// # Examples
/// ```
/// use unetr_data::{Affine, Probability};
///
/// // Up to 35° either way, in 30 % of the samples; class 1 is what lies outside the photo.
/// let affine = Affine { p: Probability::new(0.3)?, ..Affine::new([-35.0, 35.0], 1) };
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affine {
    /// Least and greatest angle in degrees, positive being counter-clockwise on the screen.
    pub rotate: [f64; 2],
    /// The class of what is outside the photo. There is no default, as only the dataset knows it;
    /// 255 where the loss ignores that class.
    pub fill_mask: u8,
    /// The colour of what is outside the photo; black by default.
    #[serde(default)]
    pub fill: [u8; 3],
    /// How often; 0.5 by default.
    #[serde(default = "half")]
    pub p: Probability,
}

fn half() -> Probability {
    Probability::HALF
}

/// What [`Affine`] drew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineParams {
    /// The angle in degrees, positive being counter-clockwise on the screen.
    pub angle: f64,
}

impl Affine {
    /// Rotates by an angle between these two, in degrees, in half of the samples; corners become
    /// black and `fill_mask`.
    pub fn new(rotate: [f64; 2], fill_mask: u8) -> Self {
        Self {
            rotate,
            fill_mask,
            fill: [0; 3],
            p: half(),
        }
    }

    /// Draws an angle.
    pub fn sample_params(&self, rng: &mut SampleRng) -> AffineParams {
        AffineParams {
            angle: uniform(rng, self.rotate),
        }
    }

    /// Rotates by a given angle.
    ///
    /// # Errors
    /// When mask and photo differ in size, or the photo is normalised already.
    pub fn apply_params(&self, mut sample: Sample, params: AffineParams) -> Result<Sample> {
        let rotation = Rotation::new(params.angle, sample.size()?);
        let pixels = into_u8(sample.image, "Affine")?;
        sample.image = Image::U8(rotation.bilinear(&pixels, self.fill));
        sample.mask = rotation.nearest(&sample.mask, self.fill_mask);
        Ok(sample)
    }
}

impl Transform for Affine {
    fn apply(&self, sample: Sample, rng: &mut SampleRng) -> Result<Sample> {
        if !self.p.draw(rng) {
            return Ok(sample);
        }
        let params = self.sample_params(rng);
        self.apply_params(sample, params)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range("Affine", "rotate", self.rotate, [-360.0, 360.0])?;
        pixels.require_u8("Affine")
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.rotate;
        write!(
            f,
            "Affine(rotate {min}° to {max}°, fill {:?}, mask fill {}, p {})",
            self.fill, self.fill_mask, self.p
        )
    }
}
