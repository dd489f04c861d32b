use crate::{Error, Result};
use image::{GrayImage, Rgb32FImage, RgbImage};

/// The pixels of a photo, interleaved RGB.
///
/// Photos are 8-bit from the decoder until `Normalize`, which makes them 32-bit floats; geometric
/// and colour transforms work on 8-bit pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum Image {
    /// As decoded, 0 to 255.
    U8(RgbImage),
    /// After normalisation.
    F32(Rgb32FImage),
}

impl Image {
    /// Width and height in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        match self {
            Self::U8(pixels) => pixels.dimensions(),
            Self::F32(pixels) => pixels.dimensions(),
        }
    }
}

/// One photo with its mask of class indices, of the same size.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What the sample is called, for messages: a file's stem, as a rule.
    pub name: String,
    /// The photo.
    pub image: Image,
    /// The class of every pixel, counted from 0.
    pub mask: GrayImage,
}

impl Sample {
    /// Height and width in pixels, which photo and mask share.
    ///
    /// # Errors
    /// When the mask has another size than the photo, or there are no pixels.
    pub fn size(&self) -> Result<[usize; 2]> {
        let image = height_width(self.image.dimensions());
        let mask = height_width(self.mask.dimensions());
        if image != mask {
            return Err(Error::MaskSize {
                name: self.name.clone(),
                image,
                mask,
            });
        }
        if image.contains(&0) {
            return Err(Error::NoPixels {
                name: self.name.clone(),
            });
        }
        Ok(image)
    }
}

fn height_width((width, height): (u32, u32)) -> [usize; 2] {
    [height as usize, width as usize]
}
