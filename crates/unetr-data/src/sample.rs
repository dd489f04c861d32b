use crate::{Error, Result};
use image::{GrayImage, RgbImage};

/// The pixels of a photo.
///
/// Photos are 8-bit from the decoder until `Normalize`, which makes them 32-bit floats; geometric
/// and colour transforms work on 8-bit pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum Image {
    /// As decoded, 0 to 255, interleaved RGB.
    U8(RgbImage),
    /// After normalisation, one plane of floats for each channel.
    F32(Planes),
}

/// A photo as a network takes it: all red, then all green, then all blue values.
#[derive(Debug, Clone, PartialEq)]
pub struct Planes {
    pub(crate) size: [usize; 2],
    pub(crate) values: Vec<f32>,
}

impl Planes {
    /// Height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// `[3, height, width]`
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

impl Image {
    /// Width and height in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        match self {
            Self::U8(pixels) => pixels.dimensions(),
            // A photo of 8 bits was as large.
            Self::F32(planes) => (planes.size[1] as u32, planes.size[0] as u32),
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
    /// Further values of every pixel, such as a second labelling or the places that count: transforms move them as
    /// they move the mask, filling with the same class.
    pub extra_masks: Vec<GrayImage>,
}

impl Sample {
    /// A photo and its mask.
    pub fn new(name: impl Into<String>, image: RgbImage, mask: GrayImage) -> Self {
        Self {
            name: name.into(),
            image: Image::U8(image),
            mask,
            extra_masks: Vec::new(),
        }
    }

    /// Height and width in pixels, which photo and masks share.
    ///
    /// # Errors
    /// When a mask has another size than the photo, or there are no pixels.
    pub fn size(&self) -> Result<[usize; 2]> {
        let image = height_width(self.image.dimensions());
        for mask in std::iter::once(&self.mask).chain(&self.extra_masks) {
            let mask = height_width(mask.dimensions());
            if image != mask {
                return Err(Error::MaskSize {
                    name: self.name.clone(),
                    image,
                    mask,
                });
            }
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
