use super::{Canvas, PixelType, Probability, Transform, crop::crop, settings::check_size};
use crate::rng::{below, whole};
use crate::{Error, Result, SampleRng};
use image::GrayImage;
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "ClassCrop";

/// Cuts a random part out of photo and mask that has at least one pixel of one of some classes, if the photo has any.
///
/// Each of these classes that the photo has is equally likely, then each of its pixels, then each place of the crop
/// around that pixel. So classes that are rare, or small, are seen more often. A photo without any of them is cropped
/// anywhere, as [`RandomCrop`](super::RandomCrop) does; one that is smaller than the crop is an error.
///
/// Source: the oversampling of the foreground in F. Isensee et al., "nnU-Net", Nature Methods 18, 2021,
/// <https://arxiv.org/abs/1904.08128>, which has it in one of three crops.
///
/// # Examples
/// ```
/// use unetr_data::{ClassCrop, Probability};
///
/// // Every third crop shows class 4 or 7; the others are anywhere.
/// let crop = ClassCrop { p: Probability::new(1.0 / 3.0)?, ..ClassCrop::new([256, 256], [4, 7]) };
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassCrop {
    /// Height and width of the output in pixels.
    pub size: [usize; 2],
    /// The classes, one of which is to be there.
    pub classes: Vec<u8>,
    /// How often they are looked for, the crop being anywhere otherwise; always by default.
    #[serde(default = "always")]
    pub p: Probability,
}

fn always() -> Probability {
    Probability::ALWAYS
}

impl ClassCrop {
    /// Crops to this height and width around a pixel of one of these classes.
    pub fn new(size: [usize; 2], classes: impl IntoIterator<Item = u8>) -> Self {
        Self {
            size,
            classes: classes.into_iter().collect(),
            p: always(),
        }
    }

    /// Row and column of a pixel of one of the classes, if there is any.
    fn pixel(&self, mask: &GrayImage, rng: &mut SampleRng) -> Option<[usize; 2]> {
        let mut counts = [0; 256];
        mask.iter()
            .for_each(|&class| counts[usize::from(class)] += 1);
        let is_there = |class: &u8| self.classes.contains(class) && counts[usize::from(*class)] > 0;
        let there: Vec<u8> = (0..=u8::MAX).filter(is_there).collect();
        let class = *there.get(below(rng, there.len()))?;
        let nth = below(rng, counts[usize::from(class)]);
        let mut places = mask
            .iter()
            .enumerate()
            .filter(|(_, found)| **found == class);
        let (place, _) = places.nth(nth)?;
        let width = mask.width() as usize;
        Some([place / width, place % width])
    }
}

impl Transform for ClassCrop {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        let pixel = if self.p.draw(rng) {
            self.pixel(&canvas.sample()?.mask, rng)
        } else {
            None
        };
        crop(canvas, NAME, self.size, |room| {
            [0, 1].map(|axis| match pixel {
                // As far up or to the left as shows the pixel, at most, and not beyond the photo.
                Some(pixel) => {
                    let first = (pixel[axis] + 1).saturating_sub(self.size[axis]);
                    whole(rng, [first, pixel[axis].min(room[axis])])
                }
                None => below(rng, room[axis] + 1),
            })
        })
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_size(NAME, self.size)?;
        if self.classes.is_empty() {
            return Err(Error::InvalidTransform {
                transform: NAME,
                reason: "there is no class; give at least one, or take RandomCrop".into(),
            });
        }
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for ClassCrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        let (classes, p) = (&self.classes, self.p);
        write!(f, "{NAME}({height}x{width}, classes {classes:?}, p {p})")
    }
}
