use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba};
use tempfile::TempDir;
use unetr_data::{Error, ExifOrientation, read_image, read_mask};

use crate::fixtures::{array, fixture};

fn read(name: &str) -> RgbImage {
    read_image(fixture(name), ExifOrientation::Apply).unwrap()
}

/// The mean and the largest difference of two images' channels.
fn difference(a: &[u8], b: &[u8]) -> (f64, u8) {
    assert_eq!(a.len(), b.len());
    let differences: Vec<_> = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: f64 = differences.iter().copied().map(f64::from).sum();
    (sum / a.len() as f64, *differences.iter().max().unwrap())
}

fn write(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.jpg");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Against OpenCV 5.0.0 and Pillow 13.0.0, which agree (libjpeg-turbo). The decoders round the
/// inverse cosine transform and the chroma upsampling differently; seen: gray 0.7 % of the channels
/// by 1, 4:4:4 1.2 % by up to 2, 4:2:0 26 % by up to 3, no matter whether progressive.
#[test]
fn jpegs_are_libjpegs_up_to_rounding() {
    let bounds = [
        ("gray", 0.01, 1),
        ("444", 0.015, 2),
        ("420", 0.4, 3),
        ("prog", 0.4, 3),
    ];
    for (name, mean_bound, bound) in bounds {
        let ours = read(&format!("decode_{name}.jpg"));
        for other in ["opencv", "pillow"] {
            let theirs = array(&format!("decode/{name}/{other}"));
            let (mean, max) = difference(ours.as_raw(), &theirs);
            assert!(
                mean < mean_bound && max <= bound,
                "{name}, {other}: {mean}, {max}"
            );
        }
    }
}

/// `decode_cmyk.png` is Pillow 13.0.0's `Image.open("decode_cmyk.jpg").convert("RGB")`; the JPEG
/// has an Adobe marker and inverted inks.
#[test]
fn cmyk_is_pillows() {
    assert_eq!(read("decode_cmyk.jpg"), read("decode_cmyk.png"));
}

#[test]
fn content_counts_and_not_the_extension() {
    let image = RgbImage::from_fn(8, 8, |x, y| Rgb([x as u8 * 30, y as u8 * 30, 99]));
    let lossless = [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ];
    for format in lossless {
        let (_folder, path) = write(&encode(image.clone(), format));
        assert_eq!(
            read_image(&path, ExifOrientation::Apply).unwrap(),
            image,
            "{format:?}"
        );
    }
    let (_folder, path) = write(&encode(RgbImage::new(8, 8), ImageFormat::Gif));
    assert_eq!(
        read_image(&path, ExifOrientation::Apply).unwrap(),
        RgbImage::new(8, 8)
    );
}

#[test]
fn alpha_is_dropped_and_sixteen_bits_are_scaled() {
    let transparent = ImageBuffer::from_pixel(2, 2, Rgba([200_u8, 100, 50, 0]));
    let (_folder, path) = write(&encode(transparent, ImageFormat::Png));
    let read = read_image(&path, ExifOrientation::Apply).unwrap();
    assert_eq!(read.get_pixel(1, 1).0, [200, 100, 50]);

    let deep = ImageBuffer::from_pixel(2, 2, Rgb([257_u16 * 7, 65_535, 0]));
    let (_folder, path) = write(&encode(deep, ImageFormat::Png));
    let read = read_image(&path, ExifOrientation::Apply).unwrap();
    assert_eq!(read.get_pixel(0, 1).0, [7, 255, 0]);
}

/// A JPEG of 16x8, left half black and right half white, with this EXIF orientation.
fn oriented_jpeg(orientation: u8) -> Vec<u8> {
    let image = GrayImage::from_fn(16, 8, |x, _| Luma([if x < 8 { 0 } else { 255 }]));
    let jpeg = encode(image, ImageFormat::Jpeg);
    let mut exif = b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn exif_orientation_is_applied_ignored_or_illegal() {
    let look = |orientation, choice| {
        let (_folder, path) = write(&oriented_jpeg(orientation));
        let image = read_image(&path, choice).unwrap();
        (image.dimensions(), image.get_pixel(1, 1).0[0] > 127)
    };
    assert_eq!(look(1, ExifOrientation::Apply), ((16, 8), false));
    assert_eq!(look(3, ExifOrientation::Apply), ((16, 8), true));
    assert_eq!(look(3, ExifOrientation::Ignore), ((16, 8), false));
    // 6: turn clockwise, so that the left half comes to the top; 8: to the bottom.
    assert_eq!(look(6, ExifOrientation::Apply), ((8, 16), false));
    assert_eq!(look(8, ExifOrientation::Apply), ((8, 16), true));
    assert_eq!(look(8, ExifOrientation::Ignore), ((16, 8), false));
    for illegal in [0, 9, 255] {
        assert_eq!(look(illegal, ExifOrientation::Apply), ((16, 8), false));
    }
}

#[test]
fn a_palette_with_a_part_of_a_colour_is_an_error() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(&[9][..]);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[0; 4]).unwrap();
    drop(writer);
    let (_folder, path) = write(&bytes);
    let error = read_image(&path, ExifOrientation::Apply).unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error}");
    assert!(error.to_string().contains("palette"), "{error}");
}

#[test]
fn metadata_that_claims_to_be_longer_than_the_file_is_left_alone() {
    let webp = encode(RgbImage::from_pixel(5, 4, Rgb([9; 3])), ImageFormat::WebP);
    // An extended file of 5x4 with EXIF data, of which four bytes are there.
    let mut bytes = b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\x08\0\0\0\x04\0\0\x03\0\0".to_vec();
    bytes.extend(&webp[12..]);
    for length in [4, u32::MAX] {
        let mut bytes = bytes.clone();
        bytes.extend(b"EXIF");
        bytes.extend(length.to_le_bytes());
        bytes.extend(b"II*\0");
        let size = bytes.len() as u32 - 8;
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        let (_folder, path) = write(&bytes);
        let photo = read_image(&path, ExifOrientation::Apply).unwrap();
        assert_eq!(photo.dimensions(), (5, 4), "{length}");
    }
}

#[test]
fn a_jpeg_cut_off_anywhere_is_an_error() {
    for name in ["decode_420.jpg", "decode_prog.jpg"] {
        let whole = fs::read(fixture(name)).unwrap();
        for share in [1, 3, 5, 7, 9] {
            let (_folder, path) = write(&whole[..whole.len() * share / 10]);
            let error = read_image(&path, ExifOrientation::Apply).unwrap_err();
            assert!(
                matches!(error, Error::Truncated { .. }),
                "{name} {share}: {error}"
            );
            assert!(error.to_string().starts_with(path.to_str().unwrap()));
        }
        let (_folder, path) = write(&[&whole[..], b"\r trailing bytes"].concat());
        read_image(&path, ExifOrientation::Apply).unwrap();
    }
}

#[test]
fn other_broken_files_are_errors_that_name_them() {
    let png = encode(RgbImage::new(64, 64), ImageFormat::Png);
    let broken = [
        &png[..png.len() / 2],
        b"",
        b"no image at all",
        b"\xFF\xD8\xFF",
    ];
    for bytes in broken {
        let (_folder, path) = write(bytes);
        for error in [
            read_image(&path, ExifOrientation::Apply).unwrap_err(),
            read_mask(&path).unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::Decode { .. } | Error::Truncated { .. }),
                "{error}"
            );
            assert!(
                error.to_string().starts_with(path.to_str().unwrap()),
                "{error}"
            );
        }
    }
    let error = read_mask("/nowhere/mask.png").unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere/mask.png: "),
        "{error}"
    );
}

#[test]
fn a_decompression_bomb_is_an_error() {
    // A PNG that says to be 40,000 x 2, and one of 32,000 x 32,000.
    for (width, height) in [(40_000_u32, 2_u32), (32_000, 32_000)] {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, &[]).unwrap();
        drop(writer);
        let (_folder, path) = write(&bytes);
        for error in [
            read_image(&path, ExifOrientation::Apply).unwrap_err(),
            read_mask(&path).unwrap_err(),
        ] {
            let Error::Decode { source, .. } = &error else {
                panic!("{error}")
            };
            assert!(matches!(source, image::ImageError::Limits(_)), "{error}");
        }
    }
}

#[test]
fn the_trimap_is_read_as_stored() {
    let mask = read_mask(fixture("trimap.png")).unwrap();
    assert_eq!(mask.as_raw(), &array("decode/trimap/raw"));
}

#[test]
fn masks_are_samples_or_palette_indices_at_every_depth() {
    for (color, depth, bits) in [
        (png::ColorType::Grayscale, png::BitDepth::One, 1_usize),
        (png::ColorType::Grayscale, png::BitDepth::Four, 4),
        (png::ColorType::Indexed, png::BitDepth::Two, 2),
        (png::ColorType::Indexed, png::BitDepth::Eight, 8),
    ] {
        let (width, height) = (5, 3);
        let value = |x: usize, y: usize| ((x + 2 * y) % (1 << bits.min(3))) as u8;
        let line = (width * bits).div_ceil(8);
        let mut packed = vec![0; line * height];
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            packed[y * line + x * bits / 8] |= value(x, y) << (8 - bits - x * bits % 8);
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.set_palette(vec![200; 3 * (1 << bits.min(3))]);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&packed)
            .unwrap();
        let (_folder, path) = write(&bytes);
        let expected = GrayImage::from_fn(5, 3, |x, y| Luma([value(x as usize, y as usize)]));
        assert_eq!(read_mask(&path).unwrap(), expected, "{color:?} {depth:?}");
    }
}

/// A TIFF of 3x2 pixels of one bit: 101, 010.
fn one_bit_tiff() -> Vec<u8> {
    const PIXELS: [u8; 2] = [0b1010_0000, 0b0100_0000];
    // Width, height, bits, compression, black is zero, where the pixels are, samples, rows and bytes of the strip.
    let entries = [
        (256, 3),
        (257, 2),
        (258, 1),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 2),
        (279, 2),
    ];
    let mut bytes = b"II*\0\x0A\0\0\0".to_vec();
    bytes.extend(PIXELS);
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, value) in entries {
        bytes.extend(u16::to_le_bytes(tag));
        // One short number.
        bytes.extend([3, 0, 1, 0, 0, 0]);
        bytes.extend(u32::to_le_bytes(value));
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn masks_of_one_bit_and_of_sixteen_are_read_as_stored() {
    let (_folder, path) = write(&one_bit_tiff());
    let expected = GrayImage::from_raw(3, 2, vec![1, 0, 1, 0, 1, 0]).unwrap();
    assert_eq!(read_mask(&path).unwrap(), expected);

    let stored = |value: u16| {
        encode(
            ImageBuffer::from_pixel(3, 2, Rgb([value; 3])),
            ImageFormat::Png,
        )
    };
    let (_folder, path) = write(&stored(3));
    assert_eq!(
        read_mask(&path).unwrap(),
        GrayImage::from_pixel(3, 2, Luma([3]))
    );
    let (_folder, path) = write(&stored(257));
    let error = read_mask(&path).unwrap_err();
    assert!(matches!(error, Error::MaskFormat { .. }), "{error}");
}

#[test]
fn masks_in_other_pixels_are_taken_if_gray_and_refused_if_not() {
    let gray = RgbImage::from_pixel(3, 2, Rgb([4, 4, 4]));
    for format in [ImageFormat::Png, ImageFormat::Bmp] {
        let (_folder, path) = write(&encode(gray.clone(), format));
        assert_eq!(
            read_mask(&path).unwrap(),
            GrayImage::from_pixel(3, 2, Luma([4]))
        );
    }
    let deep = ImageBuffer::from_pixel(3, 2, Luma([255_u16]));
    let (_folder, path) = write(&encode(deep, ImageFormat::Png));
    assert_eq!(
        read_mask(&path).unwrap(),
        GrayImage::from_pixel(3, 2, Luma([255]))
    );

    let refused = [
        encode(
            ImageBuffer::from_pixel(3, 2, Luma([256_u16])),
            ImageFormat::Png,
        ),
        encode(RgbImage::from_pixel(3, 2, Rgb([4, 4, 5])), ImageFormat::Png),
    ];
    for bytes in refused {
        let (_folder, path) = write(&bytes);
        let error = read_mask(&path).unwrap_err();
        assert!(matches!(error, Error::MaskFormat { .. }), "{error}");
    }
}
