use super::{Canvas, PixelType, Region, Transform, geometry::Step, settings::check_size};
use crate::{Error, Result, SampleRng, rng::below};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Cuts a part of this height and width out of what is on the canvas. `corner` gets how many rows and columns are too
/// many, and says how many of them lie above and to the left.
pub(super) fn crop(
    canvas: &mut Canvas,
    transform: &'static str,
    [height, width]: [usize; 2],
    corner: impl FnOnce([usize; 2]) -> [usize; 2],
) -> Result<()> {
    check_size(transform, [height, width])?;
    let [rows, columns] = canvas.size()?;
    if height > rows || width > columns {
        return Err(Error::InvalidTransform {
            transform,
            reason: format!(
                "the photo is {rows}x{columns} but the crop {height}x{width} (height x width); \
                 put Pad or Resize before it, or make the crop smaller"
            ),
        });
    }
    let [y, x] = corner([rows - height, columns - width]);
    let part = Region {
        x,
        y,
        width,
        height,
    };
    canvas.geometry(transform, Step::Select(part))
}

/// Cuts out the middle of photo and mask, without resizing.
///
/// A photo that is smaller is an error; [`Pad`](super::Pad) or [`Resize`](super::Resize) goes before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// Height and width of the output in pixels.
    pub size: [usize; 2],
}

impl CenterCrop {
    const NAME: &str = "CenterCrop";

    /// Crops to this height and width.
    pub fn new(size: [usize; 2]) -> Self {
        Self { size }
    }
}

impl Transform for CenterCrop {
    fn draw(&self, canvas: &mut Canvas, _: &mut SampleRng) -> Result<()> {
        crop(canvas, Self::NAME, self.size, |room| {
            room.map(|room| room / 2)
        })
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_size(Self::NAME, self.size)?;
        pixels.require_u8(Self::NAME)
    }
}

impl fmt::Display for CenterCrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        write!(f, "{}({height}x{width})", Self::NAME)
    }
}

/// Cuts a part of photo and mask out at a random place, without resizing.
///
/// A photo that is smaller is an error; [`Pad`](super::Pad) or [`Resize`](super::Resize) goes before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    /// Height and width of the output in pixels.
    pub size: [usize; 2],
}

impl RandomCrop {
    const NAME: &str = "RandomCrop";

    /// Crops to this height and width.
    pub fn new(size: [usize; 2]) -> Self {
        Self { size }
    }
}

impl Transform for RandomCrop {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        crop(canvas, Self::NAME, self.size, |room| {
            room.map(|room| below(rng, room + 1))
        })
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_size(Self::NAME, self.size)?;
        pixels.require_u8(Self::NAME)
    }
}

impl fmt::Display for RandomCrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        write!(f, "{}({height}x{width})", Self::NAME)
    }
}
