//! Resizing a region of an image, with the arithmetic of OpenCV.

use image::{GrayImage, RgbImage};

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The leftmost column.
    pub x: usize,
    /// The topmost row.
    pub y: usize,
    /// How many columns.
    pub width: usize,
    /// How many rows.
    pub height: usize,
}

impl Region {
    /// The whole of an image of this height and width.
    pub fn whole([height, width]: [usize; 2]) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    /// Whether the region has pixels, all of them inside an image of this height and width.
    pub fn fits(&self, [height, width]: [usize; 2]) -> bool {
        let within = |start: usize, len: usize, limit: usize| {
            len > 0 && start.checked_add(len).is_some_and(|end| end <= limit)
        };
        within(self.x, self.width, width) && within(self.y, self.height, height)
    }
}

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

fn taps(source: usize, output: usize, beyond: Beyond) -> impl Iterator<Item = Tap> {
    let scale = source as f64 / output as f64;
    let last = source as i64 - 1;
    (0..output).map(move |i| {
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
    })
}

/// Resizes a region of a photo to `size` (height, width): bilinear between pixel centres, without
/// anti-aliasing, equal to `cv2.resize(…, INTER_LINEAR)` in every value.
pub(super) fn resize_bilinear(
    source: &RgbImage,
    region: Region,
    [height, width]: [usize; 2],
) -> RgbImage {
    let columns: Vec<Tap> = taps(region.width, width, Beyond::DropFraction).collect();
    let (rgb, _) = source.as_chunks::<3>();
    let rows: Vec<&[[u8; 3]]> = rgb
        .chunks_exact(source.width() as usize)
        .skip(region.y)
        .take(region.height)
        .map(|row| &row[region.x..][..region.width])
        .collect();

    let mut output = RgbImage::new(width as u32, height as u32);
    // A source row, interpolated along x, serves all output rows between its neighbours.
    let mut upper = StretchedRow::new(width);
    let mut lower = StretchedRow::new(width);
    for (row, out) in
        taps(region.height, height, Beyond::KeepFraction).zip(output.chunks_exact_mut(3 * width))
    {
        if lower.source == Some(row.near) {
            std::mem::swap(&mut upper, &mut lower);
        }
        upper.fill(row.near, &rows, &columns);
        lower.fill(row.far, &rows, &columns);
        let sums = upper.values.iter().zip(&lower.values);
        for (value, (above, below)) in out.iter_mut().zip(sums) {
            let above = (row.near_weight * (above >> 4)) >> 16;
            let below = (row.far_weight * (below >> 4)) >> 16;
            *value = ((above + below + 2) >> 2) as u8;
        }
    }
    output
}

/// A row of the source, interpolated to the output's width.
struct StretchedRow {
    source: Option<usize>,
    values: Vec<i32>,
}

impl StretchedRow {
    fn new(width: usize) -> Self {
        Self {
            source: None,
            values: vec![0; 3 * width],
        }
    }

    fn fill(&mut self, source: usize, rows: &[&[[u8; 3]]], columns: &[Tap]) {
        if self.source == Some(source) {
            return;
        }
        let row = rows[source];
        let (values, _) = self.values.as_chunks_mut::<3>();
        for (value, tap) in values.iter_mut().zip(columns) {
            let (near, far) = (row[tap.near], row[tap.far]);
            for channel in 0..3 {
                value[channel] = i32::from(near[channel]) * tap.near_weight
                    + i32::from(far[channel]) * tap.far_weight;
            }
        }
        self.source = Some(source);
    }
}

/// Resizes a region of a mask to `size` (height, width): the pixel at or before each position,
/// `floor(i * source / output)`, as `cv2.resize(…, INTER_NEAREST)` takes it.
pub(super) fn resize_nearest(
    source: &GrayImage,
    region: Region,
    [height, width]: [usize; 2],
) -> GrayImage {
    let columns: Vec<usize> = (0..width).map(|x| x * region.width / width).collect();
    let stride = source.width() as usize;
    let source = source.as_raw();
    let mut output = GrayImage::new(width as u32, height as u32);
    for (y, out) in output.chunks_exact_mut(width).enumerate() {
        let start = (region.y + y * region.height / height) * stride + region.x;
        let row = &source[start..][..region.width];
        for (value, &column) in out.iter_mut().zip(&columns) {
            *value = row[column];
        }
    }
    output
}
