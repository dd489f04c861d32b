use super::{Canvas, PixelType, Transform};
use crate::simd::vectorised;
use crate::{Error, Result, SampleRng};
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Makes a photo's 8-bit pixels floats: `(v - 255 mean) / (255 std)` for each channel.
///
/// Computed as albumentations does, `(v - mean * 255) * (1 / (std * 255))` in f32, so that the
/// floats are the same bit for bit.
///
/// # Examples
/// ```
/// use unetr_data::Normalize;
///
/// // Pixels from -1 to 1, for a network that was not trained on ImageNet's statistics.
/// let normalize = Normalize { mean: [0.5; 3], std: [0.5; 3] };
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Normalize {
    /// The mean of red, green and blue on a scale of 0 to 1; ImageNet's by default.
    pub mean: [f32; 3],
    /// The standard deviation of red, green and blue on that scale; ImageNet's by default.
    pub std: [f32; 3],
}

impl Default for Normalize {
    fn default() -> Self {
        Self {
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

impl Normalize {
    /// Normalises a batch's 8-bit photos where they are: uploaded as bytes they are a quarter of the floats.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`, u8
    /// - result: `[batch, 3, height, width]`, f32, the same floats that a pipeline with [`Normalize`] gives
    ///
    /// # Errors
    /// When the images have another shape, or the device fails.
    pub fn on_device(&self, images: &Tensor) -> Result<Tensor> {
        let channels = |values: [f32; 3]| Tensor::new(&values, images.device())?.reshape((3, 1, 1));
        let shift = channels(self.shift())?;
        let scale = channels(self.scale())?;
        let floats = images.to_dtype(DType::F32)?;
        Ok(floats.broadcast_sub(&shift)?.broadcast_mul(&scale)?)
    }

    /// The floats of a photo's planes, `[3, height, width]`.
    pub(crate) fn floats(&self, planes: &[u8]) -> Vec<f32> {
        let mut floats = Vec::with_capacity(planes.len());
        self.append(planes, &mut floats);
        floats
    }

    /// Appends the floats of a photo's planes.
    pub(crate) fn append(&self, planes: &[u8], floats: &mut Vec<f32>) {
        let planes = planes.chunks_exact((planes.len() / 3).max(1));
        for (plane, (shift, scale)) in planes.zip(self.shift().into_iter().zip(self.scale())) {
            vectorised!({
                floats.extend(
                    plane
                        .iter()
                        .map(|&value| (f32::from(value) - shift) * scale),
                );
            });
        }
    }

    fn shift(&self) -> [f32; 3] {
        self.mean.map(|mean| mean * 255.0)
    }

    fn scale(&self) -> [f32; 3] {
        self.std.map(|std| 1.0 / (std * 255.0))
    }
}

impl Transform for Normalize {
    fn draw(&self, canvas: &mut Canvas, _: &mut SampleRng) -> Result<()> {
        canvas.normalize(self)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        if !self.mean.iter().all(|m| m.is_finite())
            || !self.std.iter().all(|s| s.is_finite() && *s > 0.0)
        {
            return Err(Error::InvalidTransform {
                transform: "Normalize",
                reason: format!(
                    "mean is {:?} and std is {:?}; they must be finite and std above 0",
                    self.mean, self.std
                ),
            });
        }
        pixels.require_u8("Normalize")?;
        Ok(PixelType::F32)
    }
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Normalize(mean {:?}, std {:?})", self.mean, self.std)
    }
}
