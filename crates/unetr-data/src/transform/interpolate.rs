//! Resizing a part of an image, with the arithmetic of OpenCV.

use image::{GrayImage, RgbImage};

use super::geometry::Window;
use crate::simd::vectorised;

/// Weights are fixed-point numbers with 11 bits after the point.
const ONE: f32 = 2048.0;

/// The two source positions of an output position and their weights.
#[derive(Clone, Copy)]
struct Tap {
    near: usize,
    far: usize,
    near_weight: i32,
    far_weight: i32,
}

/// What happens to the fraction of a position beyond the outermost pixel centres: OpenCV drops it
/// along a row and keeps it along a column, where both rows are then the same one.
#[derive(Clone, Copy, PartialEq)]
enum Beyond {
    DropFraction,
    KeepFraction,
}

fn tap(i: usize, source: usize, output: usize, beyond: Beyond) -> Tap {
    let scale = source as f64 / output as f64;
    let last = source as i64 - 1;
    // f32: OpenCV rounds the position before it splits it.
    let position = ((i as f64 + 0.5) * scale - 0.5) as f32;
    let floor = position.floor();
    let near = floor as i64;
    let outside = near < 0 || near >= last;
    let fraction = if outside && beyond == Beyond::DropFraction {
        0.0
    } else {
        position - floor
    };
    Tap {
        near: near.clamp(0, last) as usize,
        far: (near + 1).clamp(0, last) as usize,
        near_weight: ((1.0 - fraction) * ONE).round_ties_even() as i32,
        far_weight: (fraction * ONE).round_ties_even() as i32,
    }
}

/// The part of an axis of the resized image that remains, in its order.
fn remaining(
    start: usize,
    length: usize,
    mirrored: bool,
) -> impl ExactSizeIterator<Item = usize> + Clone {
    (0..length).map(move |i| start + if mirrored { length - 1 - i } else { i })
}

impl Window {
    fn rows(&self) -> impl ExactSizeIterator<Item = usize> + Clone {
        remaining(self.crop.y, self.crop.height, self.mirrored.y)
    }

    fn columns(&self) -> impl ExactSizeIterator<Item = usize> + Clone {
        remaining(self.crop.x, self.crop.width, self.mirrored.x)
    }

    /// Writes the rows of a photo one after the other, each in the same memory: bilinear between pixel centres,
    /// without anti-aliasing, equal to `cv2.resize(…, INTER_LINEAR)` in every value.
    pub(super) fn bilinear(&self, source: &RgbImage, mut write: impl FnMut(usize, &[[u8; 3]])) {
        let region = self.region;
        let (rgb, _) = source.as_chunks::<3>();
        let rows: Vec<&[[u8; 3]]> = rgb
            .chunks_exact(source.width() as usize)
            .skip(region.y)
            .take(region.height)
            .map(|row| &row[region.x..][..region.width])
            .collect();
        let mut out = vec![[0; 3]; self.crop.width];
        if self.resized == [region.height, region.width] {
            for (y, row) in self.rows().enumerate() {
                let row = &rows[row][self.crop.x..][..self.crop.width];
                if self.mirrored.x {
                    out.iter_mut()
                        .zip(row.iter().rev())
                        .for_each(|(to, from)| *to = *from);
                    write(y, &out);
                } else {
                    write(y, row);
                }
            }
            return;
        }
        let [height, width] = self.resized;
        let columns = Columns::new(self, width);
        // A source row, interpolated along x, serves all output rows between its neighbours.
        let mut upper = StretchedRow::new(out.len());
        let mut lower = StretchedRow::new(out.len());
        for (y, row) in self.rows().enumerate() {
            let row = tap(row, region.height, height, Beyond::KeepFraction);
            if lower.source == Some(row.near) || upper.source == Some(row.far) {
                std::mem::swap(&mut upper, &mut lower);
            }
            upper.fill(row.near, &rows, &columns);
            lower.fill(row.far, &rows, &columns);
            blend(&upper, &lower, row, &mut out);
            write(y, &out);
        }
    }

    /// A mask: the pixel at or before each position, `floor(i * source / output)` in the floats of
    /// `cv2.resize(…, INTER_NEAREST)`, which are below some whole numbers.
    pub(super) fn nearest(&self, source: &GrayImage) -> GrayImage {
        let (region, [height, width]) = (self.region, self.resized);
        let before = |i: usize, source: usize, output: usize| {
            let scale = 1.0 / (output as f64 / source as f64);
            ((i as f64 * scale) as usize).min(source - 1)
        };
        let columns: Vec<usize> = self
            .columns()
            .map(|x| region.x + before(x, region.width, width))
            .collect();
        let (stride, source) = (source.width() as usize, source.as_raw());
        let mut output = GrayImage::new(self.crop.width as u32, self.crop.height as u32);
        for (y, out) in self.rows().zip(output.chunks_exact_mut(columns.len())) {
            let row = region.y + before(y, region.height, height);
            let row = &source[row * stride..][..stride];
            for (value, &column) in out.iter_mut().zip(&columns) {
                *value = row[column];
            }
        }
        output
    }
}

/// The taps along a row.
struct Columns {
    near: Vec<usize>,
    far: Vec<usize>,
    near_weights: Vec<i32>,
    far_weights: Vec<i32>,
}

impl Columns {
    fn new(window: &Window, width: usize) -> Self {
        let taps: Vec<Tap> = window
            .columns()
            .map(|x| tap(x, window.region.width, width, Beyond::DropFraction))
            .collect();
        Self {
            near: taps.iter().map(|tap| tap.near).collect(),
            far: taps.iter().map(|tap| tap.far).collect(),
            near_weights: taps.iter().map(|tap| tap.near_weight).collect(),
            far_weights: taps.iter().map(|tap| tap.far_weight).collect(),
        }
    }
}

/// A row of the source, interpolated to the output's width, four bits less exact than its weights.
struct StretchedRow {
    source: Option<usize>,
    channels: [Vec<i16>; 3],
    /// The pixels that it lies between, four bytes each.
    near: Vec<u32>,
    far: Vec<u32>,
}

impl StretchedRow {
    fn new(width: usize) -> Self {
        Self {
            source: None,
            channels: std::array::from_fn(|_| vec![0; width]),
            near: vec![0; width],
            far: vec![0; width],
        }
    }

    fn fill(&mut self, source: usize, rows: &[&[[u8; 3]]], columns: &Columns) {
        if self.source == Some(source) {
            return;
        }
        let row = rows[source];
        let pixel = |column: usize| {
            let [r, g, b] = row[column];
            u32::from_le_bytes([r, g, b, 0])
        };
        for (to, &column) in self.near.iter_mut().zip(&columns.near) {
            *to = pixel(column);
        }
        for (to, &column) in self.far.iter_mut().zip(&columns.far) {
            *to = pixel(column);
        }
        let (near, far) = (&self.near, &self.far);
        let [red, green, blue] = &mut self.channels;
        vectorised!({
            weighted_sums::<0>(near, far, columns, red);
            weighted_sums::<8>(near, far, columns, green);
            weighted_sums::<16>(near, far, columns, blue);
        });
        self.source = Some(source);
    }
}

/// The channel of these bits between two pixels each.
#[inline(always)]
fn weighted_sums<const SHIFT: u32>(near: &[u32], far: &[u32], columns: &Columns, out: &mut [i16]) {
    let weights = columns.near_weights.iter().zip(&columns.far_weights);
    let pixels = near.iter().zip(far);
    for (out, ((&near, &far), (&near_weight, &far_weight))) in
        out.iter_mut().zip(pixels.zip(weights))
    {
        let (near, far) = ((near >> SHIFT & 0xFF) as i32, (far >> SHIFT & 0xFF) as i32);
        *out = ((near * near_weight + far * far_weight) >> 4) as i16;
    }
}

/// The row between two others.
fn blend(upper: &StretchedRow, lower: &StretchedRow, row: Tap, out: &mut [[u8; 3]]) {
    // Of 16 bits, so that the high half of a product is one instruction.
    let weights = [row.near_weight as i16, row.far_weight as i16];
    let [r, g, b] = &upper.channels;
    let [r2, g2, b2] = &lower.channels;
    vectorised!({
        let above = r.iter().zip(g).zip(b);
        let below = r2.iter().zip(g2).zip(b2);
        for (out, (((&r, &g), &b), ((&r2, &g2), &b2))) in out.iter_mut().zip(above.zip(below)) {
            *out = [
                between(r, r2, weights),
                between(g, g2, weights),
                between(b, b2, weights),
            ];
        }
    });
}

#[inline(always)]
fn between(above: i16, below: i16, [near, far]: [i16; 2]) -> u8 {
    let above = ((i32::from(above) * i32::from(near)) >> 16) as i16;
    let below = ((i32::from(below) * i32::from(far)) >> 16) as i16;
    ((above + below + 2) >> 2) as u8
}
