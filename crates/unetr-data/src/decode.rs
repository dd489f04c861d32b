use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use image::error::{DecodingError, ImageFormatHint};
use image::{
    ColorType, DynamicImage, ExtendedColorType, GrayImage, ImageDecoder, ImageError, ImageFormat,
    ImageReader, ImageResult, Limits, RgbImage,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The largest width and height that is decoded, in pixels.
const MAX_SIDE: u32 = 32_768;
/// The most memory that one decoded image may take, in bytes.
const MAX_BYTES: u64 = 512 << 20;

/// What the names of images' files end with, in lower case. What a file is, its content tells.
pub const IMAGE_EXTENSIONS: &[&str] = &[
    "jpg", "jpeg", "jfif", "png", "gif", "bmp", "webp", "tif", "tiff",
];

/// What to do with the orientation that a camera noted in a photo's EXIF data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExifOrientation {
    /// Turn and mirror the photo upright, as `cv2.imread` does; an illegal value counts as 1,
    /// upright.
    #[default]
    Apply,
    /// Leave the pixels as they are stored, as Pillow's `Image.open` does.
    Ignore,
}

/// Reads a photo as 8-bit RGB.
///
/// The format (JPEG, PNG, GIF, BMP, WebP or TIFF) is told by the content; the file's extension
/// plays no part. Gray is repeated over the three channels, palettes are looked up, 16-bit values
/// are scaled to 8 bits, CMYK is converted without a colour profile, an alpha channel is dropped
/// without blending (as Pillow's `convert("RGB")` does), and of an animation the first frame is
/// taken.
///
/// A file may be at most 32,768 pixels wide and high and take 512 MiB when decoded, so that a
/// decompression bomb is an error.
///
/// # Errors
/// When the file can't be read, is of no known format, is broken, is a JPEG that was cut off, or
/// exceeds these limits. Damage inside of a JPEG's compressed data which its decoder can bridge
/// goes unnoticed, as it does in libjpeg.
///
/// # Examples
/// ```no_run
/// use unetr_data::{ExifOrientation, read_image};
///
/// let photo = read_image("images/Abyssinian_1.jpg", ExifOrientation::Apply)?;
/// println!("{} x {} pixels", photo.width(), photo.height());
/// # Ok::<(), unetr_data::Error>(())
/// ```
pub fn read_image(path: impl AsRef<Path>, orientation: ExifOrientation) -> Result<RgbImage> {
    let path = path.as_ref();
    decode_image(path, &read(path)?, orientation)
}

/// [`read_image`] of a file's bytes that are in memory already; `name` stands for it in errors.
///
/// # Errors
/// As there.
pub fn decode_image(
    name: impl AsRef<Path>,
    bytes: &[u8],
    orientation: ExifOrientation,
) -> Result<RgbImage> {
    let name = name.as_ref();
    if is_truncated_jpeg(bytes) {
        return Err(Error::Truncated { path: name.into() });
    }
    let (image, _) = decode(bytes, orientation).map_err(decode_error(name))?;
    Ok(image.into_rgb8())
}

/// Reads a mask as the values that its file stores.
///
/// Of a gray or palette PNG of up to 8 bits these are the stored samples or palette indices, never
/// the colours that they stand for. In other formats, and at 16 bits, every pixel must be a gray
/// value of 0 to 255. The limits of [`read_image`] apply; EXIF data is ignored. A TIFF that says that white is 0 is
/// turned around, so that black is.
///
/// # Errors
/// As [`read_image`], and when the pixels are colours, values above 255 or floating-point numbers.
pub fn read_mask(path: impl AsRef<Path>) -> Result<GrayImage> {
    let path = path.as_ref();
    decode_mask(path, &read(path)?)
}

/// [`read_mask`] of a file's bytes that are in memory already; `name` stands for it in errors.
///
/// # Errors
/// As there.
pub fn decode_mask(name: impl AsRef<Path>, bytes: &[u8]) -> Result<GrayImage> {
    let path = name.as_ref();
    if is_truncated_jpeg(bytes) {
        return Err(Error::Truncated { path: path.into() });
    }
    if image::guess_format(bytes).is_ok_and(|format| format == ImageFormat::Png)
        && let Some(samples) = png_samples(bytes).map_err(decode_error(path))?
    {
        return Ok(samples);
    }
    let (image, stored) = decode(bytes, ExifOrientation::Ignore).map_err(decode_error(path))?;
    gray_values(image, stored).map_err(|found| Error::MaskFormat {
        path: path.into(),
        found,
    })
}

/// The bytes of a file that is not larger than any image that is decoded.
fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    if length > MAX_BYTES {
        let reason = format!("the file has {length} bytes; expected at most {MAX_BYTES}");
        return Err(Error::io(path)(io::Error::other(reason)));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // Of what is no file, such as a pipe, the length says nothing.
    let limited = &mut file.take(MAX_BYTES);
    limited.read_to_end(&mut bytes).map_err(Error::io(path))?;
    Ok(bytes)
}

fn decode_error(path: &Path) -> impl Fn(ImageError) -> Error {
    move |source| Error::Decode {
        path: path.into(),
        source,
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

/// An image, and what its file stores pixels as.
fn decode(
    bytes: &[u8],
    orientation: ExifOrientation,
) -> ImageResult<(DynamicImage, ExtendedColorType)> {
    let format = image::guess_format(bytes)?;
    if format == ImageFormat::Png && !has_whole_palette(bytes) {
        let problem = "the palette has a colour of fewer than three bytes";
        let format = ImageFormatHint::Exact(format);
        return Err(ImageError::Decoding(DecodingError::new(format, problem)));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    // Gray pixels become three bytes too.
    let rgb = 3 * u64::from(width) * u64::from(height);
    limits().reserve(decoder.total_bytes().max(rgb))?;
    let turn = match orientation {
        // Metadata that can't be read is no reason to lose the photo.
        ExifOrientation::Apply if has_whole_chunks(bytes) => decoder.orientation().ok(),
        ExifOrientation::Apply | ExifOrientation::Ignore => None,
    };
    let stored = decoder.original_color_type();
    let mut image = DynamicImage::from_decoder(decoder)?;
    if let Some(turn) = turn {
        image.apply_orientation(turn);
    }
    Ok((image, stored))
}

/// Whether the palette of a PNG, if it has one, is of whole colours: its decoder panics at others (`png` 0.18.1).
fn has_whole_palette(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let [a, b, c, d, kind @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if kind.starts_with(b"PLTE") && !length.is_multiple_of(3) {
            return false;
        }
        // The kind, the data and their checksum.
        rest = kind.get(length.saturating_add(8)..).unwrap_or_default();
    }
    true
}

/// Whether the chunks of a WebP end within the file: its decoder allocates what a chunk of metadata says it has.
fn has_whole_chunks(bytes: &[u8]) -> bool {
    if !(bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")) {
        return true;
    }
    let mut rest = &bytes[12..];
    while let [_, _, _, _, a, b, c, d, after @ ..] = rest {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        if length > after.len() {
            return false;
        }
        // Chunks begin at even places; the last may do without its padding.
        rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
    }
    true
}

/// Whether these are the bytes of a JPEG with no end-of-image marker behind its first scan.
///
/// The decoder fills what is missing with gray, which would be learnt from.
fn is_truncated_jpeg(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    if !bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return false;
    }
    let mut rest = &bytes[2..];
    loop {
        match rest {
            [0xFF, START_OF_SCAN, scan @ ..] => {
                let end = [0xFF, END_OF_IMAGE];
                // Nearly always it is at the very end.
                return !scan.ends_with(&end) && !scan.windows(2).any(|pair| pair == end);
            }
            // Fill bytes may precede a marker.
            [0xFF, 0xFF, ..] => rest = &rest[1..],
            // Markers without a length.
            [0xFF, 0x01 | 0xD0..=0xD8, ..] => rest = &rest[2..],
            [0xFF, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(next) = rest.get(2 + length..) else {
                    return true;
                };
                rest = next;
            }
            // Stray bytes between segments, which decoders skip.
            [_, ..] => rest = &rest[1..],
            [] => return true,
        }
    }
}

/// The stored samples of a gray or palette PNG of up to 8 bits; `None` for other kinds of PNG.
fn png_samples(bytes: &[u8]) -> ImageResult<Option<GrayImage>> {
    let wrap = |e| {
        ImageError::Decoding(DecodingError::new(
            ImageFormatHint::Exact(ImageFormat::Png),
            e,
        ))
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(wrap)?;
    let (color, depth) = reader.output_color_type();
    let (width, height) = reader.info().size();
    let one_channel = matches!(color, png::ColorType::Grayscale | png::ColorType::Indexed);
    if !one_channel || depth == png::BitDepth::Sixteen {
        return Ok(None);
    }
    let mut limits = limits();
    limits.check_dimensions(width, height)?;
    limits.reserve(u64::from(width) * u64::from(height) * 2)?;

    let bits = depth as usize;
    let line = reader.output_line_size(width).unwrap_or(usize::MAX);
    let mut packed = vec![0; line * height as usize];
    reader.next_frame(&mut packed).map_err(wrap)?;
    if bits == 8 {
        return Ok(GrayImage::from_raw(width, height, packed));
    }
    let samples_per_byte = 8 / bits;
    let sample = |x: u32, y: u32| {
        let (byte, slot) = (x as usize / samples_per_byte, x as usize % samples_per_byte);
        let shifted = packed[y as usize * line + byte] >> (8 - bits * (slot + 1));
        image::Luma([shifted & (0xFF >> (8 - bits))])
    };
    Ok(Some(GrayImage::from_fn(width, height, sample)))
}

/// The gray values of an image as its file stores them; what its pixels are instead when they are no such values.
fn gray_values(image: DynamicImage, stored: ExtendedColorType) -> Result<GrayImage, String> {
    let (width, height) = (image.width(), image.height());
    // What the values of the file are multiplied by here: all decoders widen bits, and `to_rgb16` bytes.
    let factor = match image.color() {
        _ if stored == ExtendedColorType::L1 => 0xFF * 257,
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => 257,
        _ => 1,
    };
    let values: Option<Vec<u8>> = match image {
        DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => {
            return Err("floating-point numbers".into());
        }
        DynamicImage::ImageLuma8(gray) if stored != ExtendedColorType::L1 => return Ok(gray),
        colours => colours
            .to_rgb16()
            .pixels()
            .map(|p| {
                let [r, g, b] = p.0;
                let whole = r == g && g == b && r.is_multiple_of(factor);
                whole.then(|| u8::try_from(r / factor).ok()).flatten()
            })
            .collect(),
    };
    values
        .and_then(|values| GrayImage::from_raw(width, height, values))
        .ok_or_else(|| "colours or values above 255".into())
}
