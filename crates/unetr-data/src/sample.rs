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
