use super::geometry::{Fill, Step};
use super::projection::Projection;
use super::{Canvas, PixelType, Transform, settings::check_size};
use crate::{Result, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "Pad";

/// Puts photo and mask into the middle of a larger frame, where they are smaller than that.
///
/// A side that is long enough stays as it is. Where the margins can't be equal, the one on the right or at the bottom
/// has one pixel more, so that [`CenterCrop`](super::CenterCrop) takes the frame off again.
///
/// # Examples
/// ```
/// use unetr_data::{Compose, Pad, RandomCrop};
///
/// // Crops of 256 x 256 from photos of any size; class 255 is what lies outside the photo.
/// let crops = Compose::default().then(Pad::new([256, 256], 255)).then(RandomCrop::new([256, 256]));
/// crops.validate()?;
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Least height and width of the output in pixels.
    pub size: [usize; 2],
    /// The class of the frame. There is no default, as only the dataset knows it; 255 where the loss ignores that
    /// class.
    pub fill_mask: u8,
    /// The colour of the frame; black by default.
    #[serde(default)]
    pub fill: [u8; 3],
}

impl Pad {
    /// Pads to at least this height and width with black and `fill_mask`.
    pub fn new(size: [usize; 2], fill_mask: u8) -> Self {
        Self {
            size,
            fill_mask,
            fill: [0; 3],
        }
    }
}

impl Transform for Pad {
    fn draw(&self, canvas: &mut Canvas, _: &mut SampleRng) -> Result<()> {
        check_size(NAME, self.size)?;
        let photo = canvas.size()?;
        let padded = [0, 1].map(|axis| photo[axis].max(self.size[axis]));
        if padded == photo {
            return Ok(());
        }
        let [top, left] = [0, 1].map(|axis| (padded[axis] - photo[axis]) / 2);
        let fill = Fill {
            colour: self.fill,
            class: self.fill_mask,
        };
        let shift = Projection::shift(-(left as f64), -(top as f64));
        canvas.geometry(NAME, Step::Warp(shift, padded, fill))
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_size(NAME, self.size)?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for Pad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        let (fill, class) = (self.fill, self.fill_mask);
        write!(
            f,
            "{NAME}(at least {height}x{width}, fill {fill:?}, mask fill {class})"
        )
    }
}
