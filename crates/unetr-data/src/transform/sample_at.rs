//! Images whose pixels come from anywhere in another one.

use image::{GrayImage, RgbImage};

use super::geometry::Region;

/// Writes the rows of a photo one after the other, each in the same memory: bilinear between the pixel centres of
/// the source's `frame`, around which everything is `fill`.
///
/// `row` says where the pixels of a row come from.
pub(super) fn bilinear<R: Iterator<Item = [f64; 2]>>(
    source: &RgbImage,
    frame: Region,
    fill: [u8; 3],
    [height, width]: [usize; 2],
    row: impl Fn(usize) -> R,
    mut write: impl FnMut(usize, &[[u8; 3]]),
) {
    let stride = source.width() as usize;
    let origin = frame.y * stride + frame.x;
    let values = &source.as_raw()[3 * origin..];
    let [left, top] = [frame.x as f64, frame.y as f64];
    let (columns, rows) = (frame.width as i64, frame.height as i64);
    let pixel_or_fill = |x: i64, y: i64| {
        let [r, g, b] = if (0..columns).contains(&x) && (0..rows).contains(&y) {
            let first = 3 * (y as usize * stride + x as usize);
            [values[first], values[first + 1], values[first + 2]]
        } else {
            fill
        };
        u32::from_le_bytes([r, g, b, 0])
    };
    let mut corners = Corners::new(width);
    let mut out = vec![[0; 3]; width];
    for y in 0..height {
        for (i, [x, y]) in (0..width).zip(row(y)) {
            let (x, fx) = split(x - left);
            let (y, fy) = split(y - top);
            let inside = x >= 0 && y >= 0 && x < columns - 1 && y < rows - 1;
            let first = if inside {
                3 * (y as usize * stride + x as usize)
            } else {
                0
            };
            // Whole numbers of four bytes: the very last pixel has but three.
            let whole =
                |first: usize| Some(u32::from_le_bytes(*values.get(first..)?.first_chunk()?));
            let last = if inside {
                whole(first + 3 * stride + 3)
            } else {
                None
            };
            let [a, b, c, d] = if let Some(last) = last {
                let near = |offset| whole(first + offset).unwrap_or_default();
                [near(0), near(3), near(3 * stride), last]
            } else {
                let (left, above) = (x, y);
                let (right, below) = (x + 1, y + 1);
                [
                    pixel_or_fill(left, above),
                    pixel_or_fill(right, above),
                    pixel_or_fill(left, below),
                    pixel_or_fill(right, below),
                ]
            };
            corners.pixels[0][i] = a;
            corners.pixels[1][i] = b;
            corners.pixels[2][i] = c;
            corners.pixels[3][i] = d;
            corners.across[i] = fx;
            corners.down[i] = fy;
        }
        corners.interpolate(&mut out);
        write(y, &out);
    }
}

/// The pixels around positions, four bytes each, and where the positions are between them.
struct Corners {
    /// Above to the left and to the right, and below.
    pixels: [Vec<u32>; 4],
    across: Vec<f32>,
    down: Vec<f32>,
    channels: [Vec<u8>; 3],
}

impl Corners {
    fn new(count: usize) -> Self {
        Self {
            pixels: std::array::from_fn(|_| vec![0; count]),
            across: vec![0.0; count],
            down: vec![0.0; count],
            channels: std::array::from_fn(|_| vec![0; count]),
        }
    }

    fn interpolate(&mut self, out: &mut [[u8; 3]]) {
        let [a, b, c, d] = &self.pixels;
        for (channel, values) in self.channels.iter_mut().enumerate() {
            let value = |pixel: u32| (pixel >> (8 * channel) & 0xFF) as i32 as f32;
            let corners = a.iter().zip(b).zip(c.iter().zip(d));
            let places = self.across.iter().zip(&self.down);
            for (out, (((&a, &b), (&c, &d)), (&across, &down))) in
                values.iter_mut().zip(corners.zip(places))
            {
                let above = value(a) + across * (value(b) - value(a));
                let below = value(c) + across * (value(d) - value(c));
                *out = round_to_byte(above + down * (below - above));
            }
        }
        let [red, green, blue] = &self.channels;
        for (out, ((&r, &g), &b)) in out.iter_mut().zip(red.iter().zip(green).zip(blue)) {
            *out = [r, g, b];
        }
    }
}

/// A mask, each pixel the nearest one of the source's `frame`, or `fill` outside.
pub(super) fn nearest<R: Iterator<Item = [f64; 2]>>(
    source: &GrayImage,
    frame: Region,
    fill: u8,
    [height, width]: [usize; 2],
    row: impl Fn(usize) -> R,
) -> GrayImage {
    let stride = source.width() as usize;
    let mut output = GrayImage::new(width as u32, height as u32);
    for (y, out) in (0..height).zip(output.chunks_exact_mut(width)) {
        nearest_row(source, stride, frame, fill, row(y), out);
    }
    output
}

/// Writes the rows of a photo one after the other, each in the same memory, where each pixel comes from the centre of
/// one of the source's `frame`, or is `fill` outside: as [`bilinear`], at less cost.
pub(super) fn copied<R: Iterator<Item = [f64; 2]>>(
    source: &RgbImage,
    frame: Region,
    fill: [u8; 3],
    [height, width]: [usize; 2],
    row: impl Fn(usize) -> R,
    mut write: impl FnMut(usize, &[[u8; 3]]),
) {
    let stride = source.width() as usize;
    let (pixels, _) = source.as_chunks::<3>();
    let mut out = vec![[0; 3]; width];
    for y in 0..height {
        nearest_row(pixels, stride, frame, fill, row(y), &mut out);
        write(y, &out);
    }
}

fn nearest_row<T: Copy>(
    source: &[T],
    stride: usize,
    frame: Region,
    fill: T,
    places: impl Iterator<Item = [f64; 2]>,
    out: &mut [T],
) {
    let pixels = &source[frame.y * stride + frame.x..];
    let [left, top] = [frame.x as f64, frame.y as f64];
    let (columns, rows) = (frame.width as i64, frame.height as i64);
    for (out, [x, y]) in out.iter_mut().zip(places) {
        let (x, y) = (round(x - left), round(y - top));
        let inside = x >= 0 && y >= 0 && x < columns && y < rows;
        *out = if inside {
            pixels[y as usize * stride + x as usize]
        } else {
            fill
        };
    }
}

// `f64::floor`, `f64::round_ties_even` and casts that hold to a range took most of the time here. Beside a number
// large enough a float has no bits left for a smaller fraction: adding it rounds, to the even one of two as near, and
// leaves the sum's bits as a whole number.

/// The pixel before a position, and how far behind it that is; far outside for what is no place in an image.
fn split(position: f64) -> (i64, f32) {
    const BITS: u32 = 24;
    const ROUND: f64 = 1.5 * (1u64 << (52 - BITS)) as f64;
    if position.abs() > FAR || position.is_nan() {
        return (i64::MIN / 2, 0.0);
    }
    let fixed = ((position + ROUND).to_bits().wrapping_sub(ROUND.to_bits())) as i64;
    let fraction = (fixed & ((1 << BITS) - 1)) as i32;
    (fixed >> BITS, fraction as f32 * (1.0 / (1 << BITS) as f32))
}

/// Beyond any image.
const FAR: f64 = (1 << 20) as f64;

/// The nearest pixel; far outside for what is no place in an image.
fn round(position: f64) -> i64 {
    const ROUND: f64 = 1.5 * (1u64 << 52) as f64;
    if position.abs() > FAR || position.is_nan() {
        return i64::MIN / 2;
    }
    ((position + ROUND).to_bits().wrapping_sub(ROUND.to_bits())) as i64
}

/// The nearest whole number of one between 0 and 255.
fn round_to_byte(value: f32) -> u8 {
    const ROUND: f32 = 1.5 * (1 << 23) as f32;
    (value + ROUND).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_those_of_std() {
        for i in -4000..=4000 {
            let value = f64::from(i) / 8.0;
            let (floor, fraction) = split(value);
            assert_eq!(floor, value.floor() as i64, "{value}");
            assert_eq!(f64::from(fraction), value - value.floor(), "{value}");
            assert_eq!(round(value), value.round_ties_even() as i64, "{value}");
            let byte = value.clamp(0.0, 255.0);
            assert_eq!(
                round_to_byte(byte as f32),
                byte.round_ties_even() as u8,
                "{byte}"
            );
        }
    }

    #[test]
    fn positions_without_a_pixel_are_filled() {
        let white = RgbImage::from_pixel(4, 3, image::Rgb([255; 3]));
        let mask = GrayImage::from_pixel(4, 3, image::Luma([7]));
        let frame = Region::whole([3, 4]);
        for far in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e300, 1e7, -4.5] {
            let row = |_| [[far, 1.], [1., far], [1., 1.]].into_iter();
            bilinear(&white, frame, [1, 2, 3], [1, 3], row, |_, pixels| {
                assert_eq!(pixels, [[1, 2, 3], [1, 2, 3], [255; 3]]);
            });
            assert_eq!(nearest(&mask, frame, 9, [1, 3], row).into_raw(), [9, 9, 7]);
        }
    }
}
