use super::geometry::{Mirrored, Step};
use super::{Canvas, PixelType, Probability, Transform};
use crate::{Result, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Mirrors photo and mask left to right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HorizontalFlip {
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for HorizontalFlip {
    fn default() -> Self {
        Self {
            p: Probability::HALF,
        }
    }
}

impl Transform for HorizontalFlip {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if self.p.draw(rng) {
            let mirrored = Mirrored { x: true, y: false };
            canvas.geometry("HorizontalFlip", Step::Mirror(mirrored))?;
        }
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        pixels.require_u8("HorizontalFlip")
    }
}

impl fmt::Display for HorizontalFlip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HorizontalFlip(p {})", self.p)
    }
}

/// Mirrors photo and mask top to bottom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerticalFlip {
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for VerticalFlip {
    fn default() -> Self {
        Self {
            p: Probability::HALF,
        }
    }
}

impl Transform for VerticalFlip {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if self.p.draw(rng) {
            let mirrored = Mirrored { x: false, y: true };
            canvas.geometry("VerticalFlip", Step::Mirror(mirrored))?;
        }
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        pixels.require_u8("VerticalFlip")
    }
}

impl fmt::Display for VerticalFlip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerticalFlip(p {})", self.p)
    }
}
