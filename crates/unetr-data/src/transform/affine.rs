use super::geometry::{Fill, Step};
use super::projection::Projection;
use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Result, Sample, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "Affine";

/// Rotates, scales, shears and shifts photo and mask by random amounts; the size stays.
///
/// The image is scaled, then sheared, then rotated, each about its centre, then shifted. The photo is
/// interpolated linearly, the mask takes the nearest pixel. What comes in from outside takes the two fill
/// values, and at the border the photo blends into its fill.
///
/// # Examples
/// ```
/// use unetr_data::{Affine, Probability};
///
/// // Rotated by up to 35° either way, in 30 % of the samples; class 1 is what lies outside the photo.
/// let rotate = Affine { p: Probability::new(0.3)?, ..Affine::new([-35.0, 35.0], 1) };
/// // Shift, scale and rotate.
/// let all = Affine { scale: [0.8, 1.25], shift: [-0.1, 0.1], ..rotate };
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affine {
    /// Least and greatest angle in degrees, positive being counter-clockwise on the screen.
    pub rotate: [f64; 2],
    /// Least and greatest factor of the size; none by default. Above 1 the photo's middle grows beyond its frame.
    #[serde(default = "unscaled")]
    pub scale: [f64; 2],
    /// Least and greatest shift, in parts of the width and of the height, drawn for each; none by default. Positive
    /// is to the right and down.
    #[serde(default)]
    pub shift: [f64; 2],
    /// Least and greatest angle in degrees by which columns, and then rows, lean; drawn for each; none by default.
    #[serde(default)]
    pub shear: [f64; 2],
    /// The class of what is outside the photo. There is no default, as only the dataset knows it;
    /// 255 where the loss ignores that class.
    pub fill_mask: u8,
    /// The colour of what is outside the photo; black by default.
    #[serde(default)]
    pub fill: [u8; 3],
    /// How often; 0.5 by default.
    #[serde(default)]
    pub p: Probability,
}

fn unscaled() -> [f64; 2] {
    [1.0; 2]
}

/// What [`Affine`] drew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineParams {
    /// The angle in degrees, positive being counter-clockwise on the screen.
    pub angle: f64,
    /// The factor of the size.
    pub scale: f64,
    /// The shift to the right and down, in parts of the width and of the height.
    pub shift: [f64; 2],
    /// The angles in degrees by which columns and rows lean.
    pub shear: [f64; 2],
}

impl AffineParams {
    /// A rotation, and nothing else.
    pub fn rotation(angle: f64) -> Self {
        Self {
            angle,
            scale: 1.0,
            shift: [0.0; 2],
            shear: [0.0; 2],
        }
    }

    /// Where the pixels of an image of this height and width come from.
    fn projection(&self, [height, width]: [usize; 2]) -> Projection {
        let (sin, cos) = self.angle.to_radians().sin_cos();
        let [lean_x, lean_y] = self.shear.map(|angle| angle.to_radians().tan());
        let size = [width as f64, height as f64];
        // The centre lies between the outermost pixel centres.
        let [x, y] = size.map(|length| (length - 1.0) / 2.0);
        let [dx, dy] = [0, 1].map(|axis| size[axis] * self.shift[axis]);
        let grow = 1.0 / self.scale;
        Projection::shift(-x - dx, -y - dy)
            .then(Projection::affine([cos, -sin, 0.0], [sin, cos, 0.0]))
            .then(Projection::affine([1.0, -lean_x, 0.0], [0.0, 1.0, 0.0]))
            .then(Projection::affine([1.0, 0.0, 0.0], [-lean_y, 1.0, 0.0]))
            .then(Projection::affine([grow, 0.0, 0.0], [0.0, grow, 0.0]))
            .then(Projection::shift(x, y))
    }
}

impl Affine {
    /// Rotates by an angle between these two, in degrees, in half of the samples; corners become
    /// black and `fill_mask`.
    pub fn new(rotate: [f64; 2], fill_mask: u8) -> Self {
        Self {
            rotate,
            scale: unscaled(),
            shift: [0.0; 2],
            shear: [0.0; 2],
            fill_mask,
            fill: [0; 3],
            p: Probability::HALF,
        }
    }

    /// Draws what is done.
    pub fn sample_params(&self, rng: &mut SampleRng) -> AffineParams {
        AffineParams {
            angle: uniform(rng, self.rotate),
            scale: drawn(rng, self.scale),
            shift: [0; 2].map(|_| drawn(rng, self.shift)),
            shear: [0; 2].map(|_| drawn(rng, self.shear)),
        }
    }

    /// Does what was drawn.
    ///
    /// # Errors
    /// When mask and photo differ in size, or the photo is normalised already.
    pub fn apply_params(&self, sample: Sample, params: AffineParams) -> Result<Sample> {
        Canvas::with(sample, |canvas| self.warp(canvas, params))
    }

    fn warp(&self, canvas: &mut Canvas, params: AffineParams) -> Result<()> {
        let size = canvas.size()?;
        let fill = Fill {
            colour: self.fill,
            class: self.fill_mask,
        };
        canvas.geometry(NAME, Step::Warp(params.projection(size), size, fill))
    }
}

/// A number between two, for which nothing is drawn if they are equal.
fn drawn(rng: &mut SampleRng, range: [f64; 2]) -> f64 {
    if range[0] == range[1] {
        range[0]
    } else {
        uniform(rng, range)
    }
}

impl Transform for Affine {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let params = self.sample_params(rng);
        self.warp(canvas, params)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "rotate", self.rotate, [-360.0, 360.0])?;
        check_range(NAME, "scale", self.scale, [0.01, 100.0])?;
        check_range(NAME, "shift", self.shift, [-1.0, 1.0])?;
        check_range(NAME, "shear", self.shear, [-80.0, 80.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.rotate;
        write!(f, "{NAME}(rotate {min}° to {max}°, ")?;
        let [min, max] = self.scale;
        if self.scale != unscaled() {
            write!(f, "scale {min} to {max}, ")?;
        }
        let [min, max] = self.shift;
        if self.shift != [0.0; 2] {
            write!(f, "shift {min} to {max}, ")?;
        }
        let [min, max] = self.shear;
        if self.shear != [0.0; 2] {
            write!(f, "shear {min}° to {max}°, ")?;
        }
        write!(
            f,
            "fill {:?}, mask fill {}, p {})",
            self.fill, self.fill_mask, self.p
        )
    }
}
