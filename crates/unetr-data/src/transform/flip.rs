use super::{PixelType, Probability, Transform, pixels::into_u8};
use crate::{Image, Result, Sample, SampleRng};
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
    fn apply(&self, mut sample: Sample, rng: &mut SampleRng) -> Result<Sample> {
        if self.p.draw(rng) {
            let [_, width] = sample.size()?;
            let mut pixels = into_u8(sample.image, "HorizontalFlip")?;
            let (rgb, _) = pixels.as_chunks_mut::<3>();
            rgb.chunks_exact_mut(width).for_each(<[_]>::reverse);
            sample.mask.chunks_exact_mut(width).for_each(<[_]>::reverse);
            sample.image = Image::U8(pixels);
        }
        Ok(sample)
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
    fn apply(&self, mut sample: Sample, rng: &mut SampleRng) -> Result<Sample> {
        if self.p.draw(rng) {
            let [_, width] = sample.size()?;
            let mut pixels = into_u8(sample.image, "VerticalFlip")?;
            reverse_rows(&mut pixels, 3 * width);
            reverse_rows(&mut sample.mask, width);
            sample.image = Image::U8(pixels);
        }
        Ok(sample)
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

fn reverse_rows(pixels: &mut [u8], row: usize) {
    let half = pixels.len() / row / 2 * row;
    let (top, rest) = pixels.split_at_mut(half);
    for (upper, lower) in top.chunks_exact_mut(row).zip(rest.rchunks_exact_mut(row)) {
        upper.swap_with_slice(lower);
    }
}
