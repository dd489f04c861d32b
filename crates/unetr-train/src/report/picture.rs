use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use serde::{Deserialize, Serialize};

use crate::error::At;
use crate::{Error, Result, files};

const JPEG_QUALITY: u8 = 85;

/// A JPEG or PNG file of a gallery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Picture {
    name: String,
    bytes: Vec<u8>,
}

impl Picture {
    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// JPEG or PNG.
    pub(super) fn format(&self) -> ImageFormat {
        image::guess_format(&self.bytes).unwrap_or(ImageFormat::Png)
    }

    /// Writes a picture as a whole.
    pub(super) fn write(
        folder: &Path,
        name: String,
        picture: &RgbImage,
        format: ImageFormat,
    ) -> Result<Self> {
        let path = folder.join(&name);
        let bytes = match encode(picture, format) {
            Ok(bytes) => bytes,
            Err(source) => return Err(Error::Picture { path, source }),
        };
        files::write_whole(&path, &bytes)?;
        Ok(Self { name, bytes })
    }

    /// Reads the bytes of a picture of which only the name is known.
    pub(super) fn load(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.name);
        self.bytes = std::fs::read(&path).at(&path)?;
        match image::guess_format(&self.bytes) {
            Ok(ImageFormat::Jpeg | ImageFormat::Png) => Ok(()),
            Ok(_) => Err(Error::PictureFormat { path }),
            Err(source) => Err(Error::Picture { path, source }),
        }
    }
}

impl TryFrom<String> for Picture {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        // A report shows what is named here, which must not be a file from elsewhere.
        if Path::new(&name)
            .file_name()
            .is_none_or(|plain| plain != name.as_str())
        {
            return Err(format!("{name:?} is no plain file name"));
        }
        Ok(Self {
            name,
            bytes: Vec::new(),
        })
    }
}

impl From<Picture> for String {
    fn from(picture: Picture) -> Self {
        picture.name
    }
}

fn encode(picture: &RgbImage, format: ImageFormat) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    if format == ImageFormat::Jpeg {
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
    } else {
        picture.write_to(&mut bytes, format)?;
    }
    Ok(bytes.into_inner())
}
