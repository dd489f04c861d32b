use super::convolution::reflect;
use super::grayscale::luma;
use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Error, Result, SampleRng, rng::uniform};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "Clahe";

/// Raises a photo's contrast place by place: contrast-limited adaptive histogram equalisation.
///
/// The luma's histogram is equalised in each of some tiles, after bins above the limit have given what they have too
/// much to all others; between the tiles' centres their results are interpolated. What the luma gains is added to red,
/// green and blue alike, so that the chroma stays. After K. Zuiderveld, "Contrast Limited Adaptive Histogram
/// Equalization", Graphics Gems IV, 1994.
///
/// The new luma equals that of `cv2.createCLAHE` in every value, but for photos of which the tiles divide one side
/// evenly and not the other, along whose even side OpenCV makes the tiles a pixel larger. The mask stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clahe {
    /// Least and greatest limit of a bin, in multiples of the mean bin; 1 to 4 by default. The contrast of a tile grows
    /// by a factor of at most one more.
    pub clip_limit: [f64; 2],
    /// How many rows and columns of tiles; 8 of each by default.
    pub tiles: [usize; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for Clahe {
    fn default() -> Self {
        Self {
            clip_limit: [1.0, 4.0],
            tiles: [8, 8],
            p: Probability::HALF,
        }
    }
}

impl Clahe {
    fn check_tiles(&self) -> Result<()> {
        const MOST: usize = 64;
        let [rows, columns] = self.tiles;
        if (1..=MOST).contains(&rows) && (1..=MOST).contains(&columns) {
            return Ok(());
        }
        Err(Error::InvalidTransform {
            transform: NAME,
            reason: format!("tiles is {rows}x{columns} (rows x columns); each must be 1 to {MOST}"),
        })
    }
}

/// What a tile makes of each luma, of which it has so many.
fn table(mut counts: [usize; 256], clip_limit: f64) -> [f32; 256] {
    let area: usize = counts.iter().sum();
    let limit = ((clip_limit * area as f64 / 256.0) as usize).max(1);
    let excess: usize = counts.iter().map(|count| count.saturating_sub(limit)).sum();
    let (each, rest) = (excess / 256, excess % 256);
    counts
        .iter_mut()
        .for_each(|count| *count = (*count).min(limit) + each);
    let step = 256usize.checked_div(rest).unwrap_or(1);
    counts
        .iter_mut()
        .step_by(step)
        .take(rest)
        .for_each(|count| *count += 1);

    let scale = 255.0 / area as f32;
    let mut up_to = 0;
    counts.map(|count| {
        up_to += count;
        (up_to as f32 * scale).round_ties_even()
    })
}

/// A side of the photo, divided into tiles; the last ones may reach beyond it.
#[derive(Clone, Copy)]
struct Side {
    length: usize,
    tiles: usize,
}

impl Side {
    fn tile(self) -> usize {
        self.length.div_ceil(self.tiles)
    }

    /// The pixels of one tile after the other, mirrored beyond the photo.
    fn pixels(self) -> Vec<usize> {
        let places = 0..self.tiles * self.tile();
        places
            .map(|place| reflect(place as isize, self.length))
            .collect()
    }

    /// For each pixel, the two tiles between whose centres it lies and the weight of the second.
    fn neighbours(self) -> Vec<([usize; 2], f32)> {
        let between = |pixel| {
            let position = pixel as f32 * (1.0 / self.tile() as f32) - 0.5;
            let first = position.floor();
            let second = ((first + 1.0) as usize).min(self.tiles - 1);
            // `as` makes a tile before the first one the first.
            ([first as usize, second], position - first)
        };
        (0..self.length).map(between).collect()
    }
}

fn equalize(pixels: &mut RgbImage, clip_limit: f64, [rows, columns]: [usize; 2]) {
    let [width, height] = [pixels.width(), pixels.height()].map(|length| length as usize);
    let (rgb, _) = pixels.as_chunks_mut::<3>();
    let lumas: Vec<u8> = rgb.iter().map(|pixel| luma(*pixel)).collect();
    let down = Side {
        length: height,
        tiles: rows,
    };
    let across = Side {
        length: width,
        tiles: columns,
    };

    let (ys, xs) = (down.pixels(), across.pixels());
    let mut tables = Vec::with_capacity(rows * columns);
    for ys in ys.chunks_exact(down.tile()) {
        for xs in xs.chunks_exact(across.tile()) {
            let mut counts = [0; 256];
            for y in ys {
                let row = &lumas[y * width..][..width];
                xs.iter().for_each(|&x| counts[usize::from(row[x])] += 1);
            }
            tables.push(table(counts, clip_limit));
        }
    }

    let neighbours = across.neighbours();
    let rows = rgb.chunks_exact_mut(width).zip(lumas.chunks_exact(width));
    for ((rgb, lumas), (ys, down)) in rows.zip(down.neighbours()) {
        let [above, below] = ys.map(|y| &tables[y * columns..][..columns]);
        for ((pixel, &old), &(xs, across)) in rgb.iter_mut().zip(lumas).zip(&neighbours) {
            let mix = |tables: &[[f32; 256]]| {
                let [left, right] = xs.map(|x| tables[x][usize::from(old)]);
                left * (1.0 - across) + right * across
            };
            let new = mix(above) * (1.0 - down) + mix(below) * down;
            let gain = round(new) - i16::from(old);
            *pixel = pixel.map(|value| (i16::from(value) + gain).clamp(0, 255) as u8);
        }
    }
}

/// Rounds a level to the nearest whole number, ties to the even one as OpenCV does.
fn round(level: f32) -> i16 {
    // Beside a number of this size a float has no bits left for a fraction. `f32::round_ties_even` is a call into the
    // C library on x86-64 without SSE 4.1.
    const NO_FRACTION: f32 = 1.5 * (1 << 23) as f32;
    ((level + NO_FRACTION) - NO_FRACTION) as i16
}

impl Transform for Clahe {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        self.check_tiles()?;
        if !self.p.draw(rng) {
            return Ok(());
        }
        let clip_limit = uniform(rng, self.clip_limit);
        let (pixels, _) = canvas.pixels(NAME)?;
        equalize(pixels, clip_limit, self.tiles);
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "clip_limit", self.clip_limit, [1.0, 256.0])?;
        self.check_tiles()?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for Clahe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.clip_limit;
        let [rows, columns] = self.tiles;
        let p = self.p;
        write!(
            f,
            "{NAME}(clip limit {min} to {max}, tiles {rows}x{columns}, p {p})"
        )
    }
}
