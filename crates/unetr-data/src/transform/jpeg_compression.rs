use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Error, Result, SampleRng, rng::whole};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, ImageResult, RgbImage, load_from_memory_with_format};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "JpegCompression";

/// Gives a photo the artefacts of a JPEG file of random quality: it is encoded and decoded again.
///
/// The quality scales the quantisation tables as in libjpeg; the chroma is not subsampled. The mask stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JpegCompression {
    /// Least and greatest quality, from 1 to 100; 50 to 95 by default.
    pub quality: [u8; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for JpegCompression {
    fn default() -> Self {
        Self {
            quality: [50, 95],
            p: Probability::HALF,
        }
    }
}

fn compressed(pixels: &RgbImage, quality: u8) -> ImageResult<RgbImage> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality).encode_image(pixels)?;
    Ok(load_from_memory_with_format(&file, ImageFormat::Jpeg)?.into_rgb8())
}

impl Transform for JpegCompression {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let quality = whole(rng, self.quality.map(usize::from)) as u8;
        let (pixels, _) = canvas.pixels(NAME)?;
        *pixels = compressed(pixels, quality).map_err(|source| Error::InvalidTransform {
            transform: NAME,
            reason: format!(
                "a photo of {}x{} (height x width) can't be a JPEG: {source}; make it smaller before",
                pixels.height(),
                pixels.width()
            ),
        })?;
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "quality", self.quality.map(f64::from), [1.0, 100.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for JpegCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.quality;
        write!(f, "{NAME}(quality {min} to {max}, p {})", self.p)
    }
}
