//! Images whose pixels come from anywhere in another one.

use image::{GrayImage, RgbImage};

use super::geometry::Region;
use crate::simd::vectorised;

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
    let values = &source.as_raw()[3 * (frame.y * stride + frame.x)..];
    let (columns, rows) = (frame.width as i32, frame.height as i32);
    let pixel_or_fill = |x: i32, y: i32| {
        let [r, g, b] = if (0..columns).contains(&x) && (0..rows).contains(&y) {
            let first = 3 * (y as usize * stride + x as usize);
            [values[first], values[first + 1], values[first + 2]]
        } else {
            fill
        };
        u32::from_le_bytes([r, g, b, 0])
    };
    // A pixel and the next one, out of one number of eight bytes: behind the very last pixels there are no more.
    let pair = |first: usize| {
        let both = u64::from_le_bytes(*values.get(first..)?.first_chunk()?);
        Some([both as u32, (both >> 24) as u32])
    };
    let (mut across, mut down) = (Axis::new(width), Axis::new(width));
    let mut corners = Corners::new(width);
    let mut out = vec![[0; 3]; width];
    for y in 0..height {
        for (i, [x, y]) in (0..width).zip(row(y)) {
            across.positions[i] = x;
            down.positions[i] = y;
        }
        across.split(frame.x);
        down.split(frame.y);
        for (i, (&x, &y)) in across.pixels.iter().zip(&down.pixels).enumerate() {
            // As numbers without a sign, those below 0 are large.
            let inside = (x as u32) < columns as u32 - 1 && (y as u32) < rows as u32 - 1;
            let first = if inside {
                3 * (y as usize * stride + x as usize)
            } else {
                usize::MAX / 2
            };
            let (above, below) = (pair(first), pair(first + 3 * stride));
            let ([a, b], [c, d]) = above.zip(below).unwrap_or_else(|| {
                let row = |y| [pixel_or_fill(x, y), pixel_or_fill(x + 1, y)];
                (row(y), row(y + 1))
            });
            corners.pixels[0][i] = a;
            corners.pixels[1][i] = b;
            corners.pixels[2][i] = c;
            corners.pixels[3][i] = d;
        }
        corners.interpolate(&across.shares, &down.shares, &mut out);
        write(y, &out);
    }
}

/// Positions of a row of pixels along one axis of the source.
struct Axis {
    positions: Vec<f64>,
    /// The pixels before them.
    pixels: Vec<i32>,
    /// How far they are from those to the next ones.
    shares: Vec<f32>,
}

impl Axis {
    fn new(count: usize) -> Self {
        Self {
            positions: vec![0.0; count],
            pixels: vec![0; count],
            shares: vec![0.0; count],
        }
    }

    /// Finds the pixels, counted from the first one of the frame.
    fn split(&mut self, first: usize) {
        let first = first as f64;
        let places = self.pixels.iter_mut().zip(&mut self.shares);
        vectorised!({
            for (&position, (pixel, share)) in self.positions.iter().zip(places) {
                let position = held(position - first);
                let nearest = position + ROUND - ROUND;
                let before = if nearest > position {
                    nearest - 1.0
                } else {
                    nearest
                };
                *pixel = whole_number(before);
                *share = (position - before) as f32;
            }
        });
    }
}

/// The pixels around positions, four bytes each.
struct Corners {
    /// Above to the left and to the right, and below.
    pixels: [Vec<u32>; 4],
    channels: [Vec<u8>; 3],
}

impl Corners {
    fn new(count: usize) -> Self {
        Self {
            pixels: std::array::from_fn(|_| vec![0; count]),
            channels: std::array::from_fn(|_| vec![0; count]),
        }
    }

    fn interpolate(&mut self, across: &[f32], down: &[f32], out: &mut [[u8; 3]]) {
        let [a, b, c, d] = &self.pixels;
        let [red, green, blue] = &mut self.channels;
        vectorised!({
            interpolate::<0>([a, b, c, d], across, down, red);
            interpolate::<8>([a, b, c, d], across, down, green);
            interpolate::<16>([a, b, c, d], across, down, blue);
            for (out, ((&mut r, &mut g), &mut b)) in
                out.iter_mut().zip(red.iter_mut().zip(green).zip(blue))
            {
                *out = [r, g, b];
            }
        });
    }
}

/// The channel of these bits between four pixels each.
#[inline(always)]
fn interpolate<const SHIFT: u32>(
    [a, b, c, d]: [&[u32]; 4],
    across: &[f32],
    down: &[f32],
    out: &mut [u8],
) {
    let corners = a.iter().zip(b).zip(c.iter().zip(d));
    let places = across.iter().zip(down);
    for (out, (((&a, &b), (&c, &d)), (&across, &down))) in out.iter_mut().zip(corners.zip(places)) {
        let a = (a >> SHIFT & 0xFF) as i32 as f32;
        let b = (b >> SHIFT & 0xFF) as i32 as f32;
        let c = (c >> SHIFT & 0xFF) as i32 as f32;
        let d = (d >> SHIFT & 0xFF) as i32 as f32;
        let above = a + across * (b - a);
        let below = c + across * (d - c);
        *out = round_to_byte(above + down * (below - above));
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
    let mut nearest = Nearest::new(source.width() as usize, frame, width);
    let mut output = GrayImage::new(width as u32, height as u32);
    for (y, out) in (0..height).zip(output.chunks_exact_mut(width)) {
        nearest.copy(source, fill, row(y), out);
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
    let mut nearest = Nearest::new(source.width() as usize, frame, width);
    let (pixels, _) = source.as_chunks::<3>();
    let mut out = vec![[0; 3]; width];
    for y in 0..height {
        nearest.copy(pixels, fill, row(y), &mut out);
        write(y, &out);
    }
}

/// The pixels that are nearest to the positions of a row.
struct Nearest {
    stride: usize,
    frame: Region,
    across: Vec<f64>,
    down: Vec<f64>,
    /// Where they are in the source, or far behind its end if they are outside.
    places: Vec<u32>,
}

impl Nearest {
    fn new(stride: usize, frame: Region, count: usize) -> Self {
        Self {
            stride,
            frame,
            across: vec![0.0; count],
            down: vec![0.0; count],
            places: vec![0; count],
        }
    }

    fn copy<T: Copy>(
        &mut self,
        source: &[T],
        fill: T,
        row: impl Iterator<Item = [f64; 2]>,
        out: &mut [T],
    ) {
        for ((across, down), [x, y]) in self.across.iter_mut().zip(&mut self.down).zip(row) {
            *across = x;
            *down = y;
        }
        let Region {
            x,
            y,
            width,
            height,
        } = self.frame;
        let (left, top) = (x as f64, y as f64);
        let (first, stride) = ((y * self.stride + x) as u32, self.stride as u32);
        let (width, height) = (width as u32, height as u32);
        let positions = self.across.iter().zip(&self.down);
        vectorised!({
            for (place, (&x, &y)) in self.places.iter_mut().zip(positions) {
                // As numbers without a sign, those below 0 are large.
                let x = whole_number(held(x - left)) as u32;
                let y = whole_number(held(y - top)) as u32;
                let inside = x < width && y < height;
                let within = first.wrapping_add(y.wrapping_mul(stride)).wrapping_add(x);
                *place = if inside { within } else { u32::MAX };
            }
        });
        for (out, &place) in out.iter_mut().zip(&self.places) {
            *out = source.get(place as usize).copied().unwrap_or(fill);
        }
    }
}

// `f64::floor`, `f64::round_ties_even` and casts that hold to a range took most of the time here. Beside a number
// large enough a float has no bits left for a smaller fraction: adding it rounds, to the even one of two as near, and
// leaves the whole number in the sum's lowest bits.

const ROUND: f64 = 1.5 * (1u64 << 52) as f64;

/// A position; one far outside for what is beyond any image or no number.
#[inline(always)]
fn held(position: f64) -> f64 {
    const FAR: f64 = (1 << 20) as f64;
    let low = if position > -FAR { position } else { -FAR };
    if low < FAR { low } else { FAR }
}

/// The nearest whole number of a position that is held.
#[inline(always)]
fn whole_number(position: f64) -> i32 {
    (position + ROUND).to_bits() as u32 as i32
}

/// The nearest whole number of one between 0 and 255.
#[inline(always)]
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
            let mut axis = Axis::new(1);
            axis.positions[0] = value;
            axis.split(0);
            assert_eq!(axis.pixels[0], value.floor() as i32, "{value}");
            assert_eq!(f64::from(axis.shares[0]), value - value.floor(), "{value}");
            assert_eq!(
                whole_number(value),
                value.round_ties_even() as i32,
                "{value}"
            );
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
