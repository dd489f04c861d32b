//! Transforms of colours and pixels: what all of them keep, and what each of them means.

use image::{GrayImage, Rgb, RgbImage};
use proptest::prelude::*;
use unetr_data::{
    Clahe, CoarseDropout, ColorJitter, Compose, Equalize, Error, GaussianBlur, GaussianNoise,
    Image, JpegCompression, MotionBlur, Normalize, Probability, RandomGamma, Sample, Step, ToGray,
    Transform, sample_rng,
};

const ALWAYS: Probability = Probability::ALWAYS;

/// Every transform of this file, each with this probability.
fn steps(p: Probability) -> [Step; 10] {
    [
        RandomGamma {
            p,
            ..RandomGamma::default()
        }
        .into(),
        ColorJitter {
            p,
            ..ColorJitter::default()
        }
        .into(),
        ToGray { p }.into(),
        Equalize { p }.into(),
        Clahe {
            p,
            ..Clahe::default()
        }
        .into(),
        GaussianBlur {
            p,
            ..GaussianBlur::default()
        }
        .into(),
        MotionBlur {
            p,
            ..MotionBlur::default()
        }
        .into(),
        GaussianNoise {
            p,
            ..GaussianNoise::default()
        }
        .into(),
        JpegCompression {
            p,
            ..JpegCompression::default()
        }
        .into(),
        CoarseDropout {
            p,
            ..CoarseDropout::default()
        }
        .into(),
    ]
}

/// A photo of these pixels after a transform; `draw` chooses what is drawn.
fn photo(transform: &dyn Transform, image: RgbImage, draw: u64) -> RgbImage {
    let mask = GrayImage::new(image.width(), image.height());
    let sample = Sample::new("test", image, mask);
    match transform
        .apply(sample, &mut sample_rng(12, 0, draw))
        .unwrap()
        .image
    {
        Image::U8(pixels) => pixels,
        Image::F32(_) => panic!("expected 8-bit pixels"),
    }
}

/// One colour after a transform.
fn colour(transform: &dyn Transform, rgb: [u8; 3]) -> [u8; 3] {
    photo(transform, flat([1, 1], rgb), 0).get_pixel(0, 0).0
}

fn flat([width, height]: [u32; 2], rgb: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb(rgb))
}

/// White in the middle, black around.
fn impulse(side: u32) -> RgbImage {
    let mut image = RgbImage::new(side, side);
    image.put_pixel(side / 2, side / 2, Rgb([255; 3]));
    image
}

/// Something with slopes, edges and colours.
fn scene() -> RgbImage {
    RgbImage::from_fn(61, 47, |x, y| {
        let ring = ((x as f32 - 30.0).hypot(y as f32 - 20.0) / 4.0).sin();
        Rgb([
            (2 * x + 40) as u8,
            (100.0 + 60.0 * ring) as u8,
            if y > 30 { 180 } else { 60 },
        ])
    })
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values
        .into_iter()
        .fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
    sum / f64::from(count)
}

fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    mean(
        a.iter()
            .zip(b.iter())
            .map(|(a, b)| f64::from(a.abs_diff(*b))),
    )
}

fn deviation(image: &RgbImage) -> f64 {
    let average = mean(image.iter().map(|&v| f64::from(v)));
    mean(image.iter().map(|&v| (f64::from(v) - average).powi(2))).sqrt()
}

#[test]
fn gamma_is_a_power() {
    let gamma = |gamma| RandomGamma {
        gamma: [gamma; 2],
        p: ALWAYS,
    };
    assert_eq!(colour(&gamma(2.0), [0, 128, 255]), [0, 64, 255]);
    assert_eq!(colour(&gamma(0.5), [64, 16, 4]), [128, 64, 32]);
    assert_eq!(colour(&gamma(1.0), [1, 100, 254]), [1, 100, 254]);
}

#[test]
fn gamma_brightens_as_often_as_it_darkens() {
    let gamma = RandomGamma {
        gamma: [0.5, 2.0],
        p: ALWAYS,
    };
    let brighter =
        (0..400).filter(|&draw| photo(&gamma, flat([1, 1], [128; 3]), draw)[(0, 0)].0[0] > 128);
    assert!((160..240).contains(&brighter.count()));
}

fn jitter(hue: f64, saturation: f64) -> ColorJitter {
    ColorJitter {
        hue: [hue; 2],
        saturation: [saturation; 2],
        p: ALWAYS,
    }
}

#[test]
fn gray_has_no_hue() {
    let gray = RgbImage::from_fn(256, 1, |x, _| Rgb([x as u8; 3]));
    for draw in 0..20 {
        let jitter = ColorJitter {
            hue: [-180.0, 180.0],
            saturation: [0.0, 3.0],
            p: ALWAYS,
        };
        assert_eq!(photo(&jitter, gray.clone(), draw), gray);
    }
}

#[test]
fn hue_is_an_angle() {
    let image = scene();
    assert_eq!(photo(&jitter(0.0, 1.0), image.clone(), 0), image);
    // Muted colours, none of which leaves the range on the way.
    let (red, back) = ([150, 100, 100], jitter(-90.0, 1.0));
    let turned = colour(&jitter(90.0, 1.0), red);
    assert!(
        colour(&back, turned)
            .iter()
            .zip(red)
            .all(|(a, b)| a.abs_diff(b) <= 1)
    );
    let [r, g, b] = colour(&jitter(120.0, 1.0), red);
    assert!(
        g > r && g > b,
        "red is {:?} after a third of a turn, not green",
        [r, g, b]
    );
    let [r, g, b] = colour(&jitter(-120.0, 1.0), red);
    assert!(
        b > r && b > g,
        "red is {:?} after a third of a turn back, not blue",
        [r, g, b]
    );
}

#[test]
fn the_luma_stays_under_a_jitter() {
    let gray = ToGray { p: ALWAYS };
    for hue in [-150.0, -40.0, 10.0, 90.0, 180.0] {
        let before = colour(&gray, [150, 110, 120])[0];
        let after = colour(&gray, colour(&jitter(hue, 1.2), [150, 110, 120]))[0];
        assert!(
            before.abs_diff(after) <= 1,
            "{hue}: {before} became {after}"
        );
    }
}

#[test]
fn saturation_is_a_factor() {
    let image = scene();
    let gray = photo(&ToGray { p: ALWAYS }, image.clone(), 0);
    let bleached = photo(&jitter(77.0, 0.0), image, 0);
    assert!(
        bleached
            .iter()
            .zip(gray.iter())
            .all(|(a, b)| a.abs_diff(*b) <= 1)
    );
    // Luma 120: red is 10 above it, blue 20 below.
    assert_eq!(colour(&jitter(0.0, 2.0), [130, 119, 100]), [140, 118, 80]);
}

#[test]
fn gray_is_the_luma() {
    let gray = ToGray { p: ALWAYS };
    let primaries = [
        ([255, 0, 0], 76),
        ([0, 255, 0], 150),
        ([0, 0, 255], 29),
        ([255; 3], 255),
        ([77; 3], 77),
    ];
    for (rgb, luma) in primaries {
        assert_eq!(colour(&gray, rgb), [luma; 3]);
    }
}

#[test]
fn equalised_values_are_spread_evenly() {
    let equalize = Equalize { p: ALWAYS };
    // 16 values, as many pixels of each; red from 100, green backwards, blue all the same.
    let narrow = RgbImage::from_fn(16, 16, |x, _| Rgb([100 + x as u8, 80 - x as u8, 9]));
    let wide = RgbImage::from_fn(16, 16, |x, _| Rgb([17 * x as u8, 255 - 17 * x as u8, 9]));
    assert_eq!(photo(&equalize, narrow, 0), wide);

    // Most pixels are dark.
    let dark = RgbImage::from_fn(128, 128, |x, y| Rgb([((x * y) / 64) as u8; 3]));
    let equal = photo(&equalize, dark.clone(), 0);
    let below =
        |image: &RgbImage, level: u8| mean(image.iter().map(|&v| f64::from(u8::from(v <= level))));
    assert!(below(&dark, 64) > 0.55);
    for level in [64, 128, 192] {
        let share = below(&equal, level);
        assert!(
            (share - f64::from(level) / 255.0).abs() < 0.03,
            "{share} up to {level}"
        );
    }
}

fn clahe(clip_limit: f64, tiles: [usize; 2]) -> Clahe {
    Clahe {
        clip_limit: [clip_limit; 2],
        tiles,
        p: ALWAYS,
    }
}

#[test]
fn clahe_of_one_tile_without_a_limit_is_the_distribution() {
    // 16 grays, as many pixels of each.
    let narrow = RgbImage::from_fn(16, 16, |x, _| Rgb([100 + x as u8; 3]));
    let wide = RgbImage::from_fn(16, 16, |x, _| Rgb([((x + 1) * 255).div_ceil(16) as u8; 3]));
    let result = photo(&clahe(256.0, [1, 1]), narrow, 0);
    assert!(
        result
            .iter()
            .zip(wide.iter())
            .all(|(a, b)| a.abs_diff(*b) <= 1)
    );
}

#[test]
fn clahe_raises_the_contrast_up_to_its_limit() {
    // 16 grays in tiles of 32 x 32, so 64 pixels of each where the mean of the 256 bins is 4. At a limit of 1 each
    // keeps 4 pixels, and all others go to the 256 bins: (4 + 960 / 256) / 4 times the contrast.
    let dull = RgbImage::from_fn(64, 64, |x, y| Rgb([100 + ((3 * x + 5 * y) % 16) as u8; 3]));
    for (limit, factor) in [(1.0, 1.94), (4.0, 4.75), (8.0, 8.5)] {
        let raised = photo(&clahe(limit, [2, 2]), dull.clone(), 0);
        let found = deviation(&raised) / deviation(&dull);
        assert!(
            (found / factor - 1.0).abs() < 0.03,
            "{found} instead of {factor}"
        );
    }
}

#[test]
fn clahe_keeps_chroma_and_evenness() {
    let even = photo(&clahe(3.0, [4, 4]), flat([32, 32], [120, 100, 90]), 0);
    let [r, g, b] = even.get_pixel(0, 0).0;
    assert_eq!((r - g, g - b), (20, 10));
    assert_eq!(even, flat([32, 32], [r, g, b]));
}

/// What OpenCV 5.0.0 makes of a small photo:
///
/// ```python
/// import cv2, numpy as np
/// y, x = np.mgrid[:8, :10]
/// rgb = np.stack([25 * x, 36 * y, 3 * x * y + 40], 2).astype(np.uint8)
/// gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
/// for r in [gray, cv2.equalizeHist(gray), cv2.createCLAHE(8, (4, 3)).apply(gray), cv2.GaussianBlur(gray, (0, 0), 1.2)]:
///     print(r.ravel().tolist())
/// ```
#[test]
fn the_arithmetic_is_opencvs() {
    let image = RgbImage::from_fn(10, 8, |x, y| {
        Rgb([25 * x, 36 * y, 3 * x * y + 40].map(|value| value as u8))
    });
    let gray = photo(&ToGray { p: ALWAYS }, image, 0);
    let red = |image: &RgbImage| -> Vec<u8> { image.pixels().map(|pixel| pixel.0[0]).collect() };
    assert_eq!(red(&gray), GRAY);
    assert_eq!(
        red(&photo(&Equalize { p: ALWAYS }, gray.clone(), 0)),
        EQUALIZED
    );
    assert_eq!(red(&photo(&clahe(8.0, [3, 4]), gray.clone(), 0)), CLAHE);
    let blur = GaussianBlur {
        sigma: [1.2; 2],
        p: ALWAYS,
    };
    let blurred = red(&photo(&blur, gray, 0));
    // OpenCV's weights have 8 bits.
    assert!(blurred.iter().zip(BLURRED).all(|(a, b)| a.abs_diff(b) <= 1));
}

#[rustfmt::skip]
const GRAY: [u8; 80] = [
    5, 12, 20, 27, 34, 42, 49, 57, 64, 72, 26, 34, 41, 49, 57, 65, 73, 80, 88, 96,
    47, 55, 63, 71, 79, 88, 96, 104, 112, 120, 68, 76, 85, 93, 102, 110, 119, 127, 136, 144,
    89, 98, 107, 116, 124, 133, 142, 151, 160, 169, 110, 119, 129, 138, 147, 156, 165, 175, 184, 193,
    131, 141, 150, 160, 169, 179, 189, 198, 208, 217, 152, 162, 172, 182, 192, 202, 212, 222, 231, 241,
];
#[rustfmt::skip]
const EQUALIZED: [u8; 80] = [
    0, 3, 6, 13, 19, 26, 36, 45, 52, 65, 10, 19, 23, 36, 45, 55, 68, 77, 87, 100,
    29, 39, 48, 61, 74, 87, 100, 110, 123, 136, 58, 71, 81, 94, 107, 119, 132, 142, 155, 168,
    90, 103, 113, 126, 139, 152, 165, 178, 190, 203, 119, 132, 145, 158, 171, 184, 197, 210, 219, 229,
    148, 161, 174, 190, 203, 213, 223, 232, 239, 245, 181, 194, 207, 216, 226, 236, 242, 249, 252, 255,
];
#[rustfmt::skip]
const CLAHE: [u8; 80] = [
    28, 57, 71, 70, 71, 71, 70, 71, 80, 85, 113, 142, 151, 156, 156, 156, 156, 156, 165, 184,
    165, 189, 197, 191, 195, 201, 191, 195, 209, 215, 142, 156, 161, 163, 163, 161, 163, 163, 168, 177,
    137, 161, 168, 172, 173, 168, 172, 173, 180, 196, 174, 199, 206, 201, 204, 206, 201, 209, 223, 229,
    170, 184, 189, 191, 191, 203, 205, 206, 210, 220, 184, 207, 239, 231, 236, 239, 231, 236, 251, 255,
];
#[rustfmt::skip]
const BLURRED: [u8; 80] = [
    31, 33, 39, 47, 54, 62, 70, 78, 84, 86, 38, 40, 47, 54, 62, 70, 78, 85, 92, 94,
    55, 58, 64, 72, 80, 88, 96, 104, 111, 114, 75, 78, 85, 93, 102, 110, 119, 127, 134, 137,
    97, 100, 107, 116, 124, 133, 142, 151, 158, 161, 118, 121, 128, 137, 146, 155, 165, 174, 181, 184,
    135, 138, 146, 155, 164, 174, 183, 193, 200, 203, 142, 145, 153, 162, 172, 182, 191, 200, 208, 211,
];

#[test]
fn blurs_leave_flat_photos_flat() {
    let image = flat([33, 20], [255, 1, 77]);
    for draw in 0..20 {
        let gaussian = GaussianBlur {
            sigma: [0.01, 20.0],
            p: ALWAYS,
        };
        let motion = MotionBlur {
            length: [1.0, 60.0],
            p: ALWAYS,
        };
        assert_eq!(photo(&gaussian, image.clone(), draw), image);
        assert_eq!(photo(&motion, image.clone(), draw), image);
    }
}

#[test]
fn gaussian_blur_spreads_an_impulse_by_its_deviation() {
    for sigma in [0.6, 0.8, 1.2] {
        let blur = GaussianBlur {
            sigma: [sigma; 2],
            p: ALWAYS,
        };
        let blurred = photo(&blur, impulse(21), 0);
        let value = |x: u32, y: u32| f64::from(blurred.get_pixel(x, y).0[1]);
        let rows = (0..21).map(|y| (y, (0..21).map(|x| value(x, y)).sum::<f64>()));
        let total: f64 = rows.clone().map(|(_, sum)| sum).sum();
        assert!(
            (total - 255.0).abs() < 6.0,
            "{sigma}: the weights sum to {}",
            total / 255.0
        );
        let peak = 255.0 / (std::f64::consts::TAU * sigma * sigma);
        assert!(
            (value(10, 10) / peak - 1.0).abs() < 0.04 || sigma < 0.7,
            "{sigma}"
        );
        let variance = rows
            .map(|(y, sum)| (f64::from(y) - 10.0).powi(2) * sum)
            .sum::<f64>()
            / total;
        assert!(
            (variance.sqrt() - sigma).abs() < 0.08,
            "{sigma}: {}",
            variance.sqrt()
        );
        assert_eq!(value(8, 9), value(12, 11));
        assert_eq!(value(8, 9), value(9, 8));
    }
}

#[test]
fn motion_blur_spreads_an_impulse_along_a_line() {
    for draw in 0..20 {
        let blur = MotionBlur {
            length: [7.0; 2],
            p: ALWAYS,
        };
        let blurred = photo(&blur, impulse(21), draw);
        let [mut total, mut xx, mut xy, mut yy] = [0.0; 4];
        for (x, y, pixel) in blurred.enumerate_pixels() {
            let (x, y, weight) = (
                f64::from(x) - 10.0,
                f64::from(y) - 10.0,
                f64::from(pixel.0[0]),
            );
            total += weight;
            xx += x * x * weight;
            xy += x * y * weight;
            yy += y * y * weight;
        }
        assert!(
            (total - 255.0).abs() < 8.0,
            "the weights sum to {}",
            total / 255.0
        );
        // The variances along the line, of seven points one pixel apart, and across it.
        let (centre, radius) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
        let (along, across) = ((centre + radius) / total, (centre - radius) / total);
        assert!((3.8..4.5).contains(&along), "{along}");
        assert!((-0.01..0.3).contains(&across), "{across}");
    }
}

#[test]
fn noise_has_the_deviation_asked_for() {
    for std in [0.02, 0.04, 0.1] {
        let noise = GaussianNoise {
            std: [std; 2],
            p: ALWAYS,
        };
        let image = photo(&noise, flat([128, 128], [128; 3]), 0);
        let found = deviation(&image) / 255.0;
        assert!((found / std - 1.0).abs() < 0.02, "{found} instead of {std}");
        let middle = mean(image.iter().map(|&v| f64::from(v)));
        assert!((middle - 128.0).abs() < 0.5, "{middle}");
        // As in a normal distribution, 68.3 % lie within one deviation and 95.4 % within two.
        let within = |times: f64| {
            mean(image.iter().map(|&v| {
                f64::from(u8::from(
                    (f64::from(v) - 128.0).abs() < (255.0 * std * times).round() + 0.5,
                ))
            }))
        };
        assert!((within(1.0) - 0.683).abs() < 0.04, "{}", within(1.0));
        assert!((within(2.0) - 0.954).abs() < 0.02, "{}", within(2.0));
    }
}

#[test]
fn noise_of_the_channels_is_unrelated() {
    let noise = GaussianNoise {
        std: [0.1; 2],
        p: ALWAYS,
    };
    let image = photo(&noise, flat([128, 128], [128; 3]), 0);
    let products = image
        .pixels()
        .map(|p| (f64::from(p.0[0]) - 128.0) * (f64::from(p.0[1]) - 128.0));
    assert!(mean(products).abs() < 0.03 * 25.5 * 25.5);
}

#[test]
fn jpeg_keeps_what_its_quality_says() {
    let image = scene();
    let [best, good, bad] = [100, 75, 10].map(|quality| {
        let jpeg = JpegCompression {
            quality: [quality; 2],
            p: ALWAYS,
        };
        difference(&photo(&jpeg, image.clone(), 0), &image)
    });
    assert!(
        best < 1.0 && best < good && good < bad && bad > 4.0,
        "{best}, {good}, {bad}"
    );
}

/// A white photo of class 3 with a second mask, with holes in blue and class 7.
fn with_holes(holes: [usize; 2], draw: u64) -> Sample {
    let dropout = CoarseDropout {
        holes,
        height: [0.25; 2],
        width: [0.5; 2],
        fill: [0, 0, 255],
        fill_mask: Some(7),
        p: ALWAYS,
    };
    let mask = GrayImage::from_pixel(40, 24, image::Luma([3]));
    let mut sample = Sample::new("test", flat([40, 24], [255; 3]), mask.clone());
    sample.extra_masks.push(mask);
    dropout.apply(sample, &mut sample_rng(1, 2, draw)).unwrap()
}

#[test]
fn holes_have_the_size_colour_and_class_asked_for() {
    for draw in 0..50 {
        let sample = with_holes([1, 1], draw);
        let Image::U8(pixels) = &sample.image else {
            panic!("expected 8-bit pixels");
        };
        let holes: Vec<(u32, u32)> = pixels
            .enumerate_pixels()
            .filter(|(.., pixel)| pixel.0 == [0, 0, 255])
            .map(|(x, y, _)| (x, y))
            .collect();
        assert_eq!(holes.len(), 6 * 20);
        let (first, last) = (holes[0], holes[6 * 20 - 1]);
        assert_eq!((last.0 - first.0, last.1 - first.1), (19, 5), "a rectangle");
        for (x, y, pixel) in pixels.enumerate_pixels() {
            let class = if pixel.0 == [255; 3] { 3 } else { 7 };
            assert_eq!(sample.mask.get_pixel(x, y).0, [class]);
        }
        assert_eq!(sample.extra_masks, [sample.mask]);
    }
}

#[test]
fn holes_are_as_many_as_asked_for_and_anywhere() {
    let mut covered = GrayImage::new(40, 24);
    let mut greatest = 0;
    for draw in 0..4000 {
        let mask = with_holes([0, 3], draw).mask;
        let pixels = mask.iter().filter(|class| **class == 7).count();
        greatest = greatest.max(pixels);
        for (covered, class) in covered.iter_mut().zip(mask.iter()) {
            *covered = (*covered).max(*class);
        }
    }
    assert!(
        covered.iter().all(|class| *class == 7),
        "some pixels are never covered"
    );
    assert!(
        (6 * 20 * 2 + 1..=6 * 20 * 3).contains(&greatest),
        "{greatest}"
    );
}

#[test]
fn wrong_settings_are_found_before_any_sample() {
    let gamma = |gamma| RandomGamma {
        gamma,
        ..RandomGamma::default()
    };
    let dropout = CoarseDropout::default();
    let wrong: [(Step, &str); 14] = [
        (gamma([0.0, 1.0]).into(), "gamma is [0, 1]"),
        (gamma([2.0, 1.0]).into(), "gamma is [2, 1]"),
        (gamma([f64::NAN, 1.0]).into(), "gamma is [NaN, 1]"),
        (jitter(200.0, 1.0).into(), "hue is [200, 200]"),
        (jitter(0.0, -1.0).into(), "saturation is [-1, -1]"),
        (clahe(0.5, [8, 8]).into(), "clip_limit is [0.5, 0.5]"),
        (clahe(2.0, [8, 0]).into(), "tiles is 8x0"),
        (
            GaussianBlur {
                sigma: [0.0, 1.0],
                p: ALWAYS,
            }
            .into(),
            "sigma is [0, 1]",
        ),
        (
            MotionBlur {
                length: [0.0, 5.0],
                p: ALWAYS,
            }
            .into(),
            "length is [0, 5]",
        ),
        (
            GaussianNoise {
                std: [0.0, 25.0],
                p: ALWAYS,
            }
            .into(),
            "std is [0, 25]",
        ),
        (
            JpegCompression {
                quality: [0, 100],
                p: ALWAYS,
            }
            .into(),
            "quality is [0, 100]",
        ),
        (
            CoarseDropout {
                holes: [3, 2],
                ..dropout.clone()
            }
            .into(),
            "holes is [3, 2]",
        ),
        (
            CoarseDropout {
                height: [0.5, 2.0],
                ..dropout.clone()
            }
            .into(),
            "height is [0.5, 2]",
        ),
        (
            CoarseDropout {
                width: [-0.5, 0.2],
                ..dropout
            }
            .into(),
            "width is [-0.5, 0.2]",
        ),
    ];
    for (step, message) in wrong {
        let error = Compose::default()
            .then(step)
            .validate()
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn what_cannot_be_done_is_an_error_without_a_check() {
    let apply = |step: &dyn Transform, size: [u32; 2]| {
        let sample = Sample::new("test", flat(size, [0; 3]), GrayImage::new(size[0], size[1]));
        step.apply(sample, &mut sample_rng(0, 0, 0))
            .unwrap_err()
            .to_string()
    };
    assert!(apply(&clahe(2.0, [0, 8]), [4, 4]).contains("tiles is 0x8"));
    let jpeg = JpegCompression {
        p: ALWAYS,
        ..JpegCompression::default()
    };
    let error = apply(&jpeg, [70_000, 1]);
    assert!(
        error.contains("1x70000 (height x width) can't be a JPEG"),
        "{error}"
    );
}

#[test]
fn none_of_them_comes_after_normalize() {
    for step in steps(ALWAYS) {
        let pipeline = Compose::default().then(Normalize::default()).then(step);
        assert!(matches!(
            pipeline.validate(),
            Err(Error::AfterNormalize { .. })
        ));
        let sample = Sample::new("test", scene(), GrayImage::new(61, 47));
        let late = pipeline.apply(sample, &mut sample_rng(0, 0, 0));
        assert!(
            matches!(late, Err(Error::AfterNormalize { .. })),
            "{pipeline}"
        );
    }
}

#[test]
fn they_survive_json_and_print_what_they_do() {
    for step in steps(Probability::new(0.25).unwrap()) {
        let json = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&json).unwrap(), step, "{json}");
        assert!(step.to_string().ends_with("p 0.25)"), "{step}");
    }
    let json = r#"[
        {"kind": "random_gamma"}, {"kind": "color_jitter"}, {"kind": "to_gray"}, {"kind": "equalize"},
        {"kind": "clahe"}, {"kind": "gaussian_blur"}, {"kind": "motion_blur"}, {"kind": "gaussian_noise"},
        {"kind": "jpeg_compression"}, {"kind": "coarse_dropout"}
    ]"#;
    let defaults: Vec<Step> = serde_json::from_str(json).unwrap();
    assert_eq!(defaults, steps(Probability::HALF));
    let mistake = serde_json::from_str::<Step>(r#"{"kind": "clahe", "tile": [4, 4]}"#).unwrap_err();
    assert!(
        mistake.to_string().contains("unknown field `tile`"),
        "{mistake}"
    );
    assert_eq!(
        Compose { steps: defaults }.to_string(),
        "RandomGamma(gamma 0.8 to 1.25, p 0.5) -> \
         ColorJitter(hue -18° to 18°, saturation 0.8 to 1.2, p 0.5) -> ToGray(p 0.5) -> Equalize(p 0.5) -> \
         Clahe(clip limit 1 to 4, tiles 8x8, p 0.5) -> GaussianBlur(sigma 0.5 to 2, p 0.5) -> \
         MotionBlur(length 3 to 9, p 0.5) -> GaussianNoise(std 0.02 to 0.1, p 0.5) -> \
         JpegCompression(quality 50 to 95, p 0.5) -> \
         CoarseDropout(1 to 4 holes, height 0.1 to 0.2, width 0.1 to 0.2, fill [0, 0, 0], p 0.5)"
    );
}

fn samples() -> impl Strategy<Value = Sample> {
    (1..24usize, 1..24usize).prop_flat_map(|(width, height)| {
        let values = |len| prop::collection::vec(any::<u8>(), len);
        (values(3 * width * height), values(width * height)).prop_map(move |(image, mask)| {
            let image = RgbImage::from_raw(width as u32, height as u32, image).unwrap();
            let mask = GrayImage::from_raw(width as u32, height as u32, mask).unwrap();
            Sample::new("random", image, mask)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_generator_gives_the_same_sample(sample in samples(), seed: u64) {
        for step in steps(ALWAYS) {
            let run = || step.apply(sample.clone(), &mut sample_rng(seed, 0, 0)).unwrap();
            prop_assert_eq!(run(), run());
        }
    }

    #[test]
    fn at_probability_0_nothing_happens(sample in samples(), seed: u64) {
        for step in steps(Probability::NEVER) {
            let output = step.apply(sample.clone(), &mut sample_rng(seed, 0, 0)).unwrap();
            prop_assert_eq!(&output, &sample);
        }
    }

    #[test]
    fn size_and_mask_stay(sample in samples(), seed: u64) {
        for step in steps(ALWAYS) {
            let output = step.apply(sample.clone(), &mut sample_rng(seed, 0, 0)).unwrap();
            prop_assert_eq!(output.size().unwrap(), sample.size().unwrap());
            prop_assert_eq!(&output.mask, &sample.mask);
        }
    }
}
