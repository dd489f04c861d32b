use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Result, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "ColorJitter";

/// Turns a photo's hues and changes its saturation, at random, while its luma stays.
///
/// In the plane of the chroma Cb and Cr of ITU-R BT.601, every colour is turned by an angle and moved away from gray by
/// a factor: a linear map, after P. Haeberli, ["Matrix Operations for Image
/// Processing"](http://www.graficaobscura.com/matrix/index.html), 1993. Unlike a turn of HSV's hue it has no jumps and
/// changes no brightness; gray stays gray. Colours that leave the range are held to 0 to 255. Brightness and contrast
/// are [`RandomBrightnessContrast`](crate::RandomBrightnessContrast)'s. The mask stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColorJitter {
    /// Least and greatest angle in degrees, positive being from red over yellow to green; -18 to 18 by default.
    pub hue: [f64; 2],
    /// Least and greatest factor of the saturation, 0 being gray; 0.8 to 1.2 by default.
    pub saturation: [f64; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self {
            hue: [-18.0, 18.0],
            saturation: [0.8, 1.2],
            p: Probability::HALF,
        }
    }
}

/// The luma's weights of red, green and blue.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
/// How red and blue differ from the luma for one unit of Cr and of Cb.
const RED: f32 = 2.0 * (1.0 - LUMA[0]);
const BLUE: f32 = 2.0 * (1.0 - LUMA[2]);

/// A turn by an angle in degrees and a factor, in the plane of Cb and Cr.
struct Chroma {
    cos: f32,
    sin: f32,
}

impl Chroma {
    fn new(hue: f64, saturation: f64) -> Self {
        let (sin, cos) = hue.to_radians().sin_cos();
        Self {
            cos: (saturation * cos) as f32,
            sin: (saturation * sin) as f32,
        }
    }

    fn change(&self, rgb: [u8; 3]) -> [u8; 3] {
        let [r, g, b] = rgb.map(f32::from);
        let luma = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
        let (cb, cr) = ((b - luma) / BLUE, (r - luma) / RED);
        let r = luma + RED * (self.sin * cb + self.cos * cr);
        let b = luma + BLUE * (self.cos * cb - self.sin * cr);
        let g = luma - (LUMA[0] * (r - luma) + LUMA[2] * (b - luma)) / LUMA[1];
        // `as` truncates and holds to 0 to 255.
        [r, g, b].map(|value| (value + 0.5) as u8)
    }
}

impl Transform for ColorJitter {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let chroma = Chroma::new(uniform(rng, self.hue), uniform(rng, self.saturation));
        let (pixels, _) = canvas.pixels(NAME)?;
        let (rgb, _) = pixels.as_chunks_mut::<3>();
        rgb.iter_mut()
            .for_each(|pixel| *pixel = chroma.change(*pixel));
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "hue", self.hue, [-180.0, 180.0])?;
        check_range(NAME, "saturation", self.saturation, [0.0, 10.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for ColorJitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = self.hue;
        let [dull, vivid] = self.saturation;
        let p = self.p;
        write!(
            f,
            "{NAME}(hue {from}° to {to}°, saturation {dull} to {vivid}, p {p})"
        )
    }
}
