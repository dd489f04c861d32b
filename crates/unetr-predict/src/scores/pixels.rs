use std::borrow::Cow;

use image::RgbImage;
use unetr_data::Normalize;

/// An image that windows are read from.
pub(crate) trait Pixels: Sync {
    fn channels(&self) -> usize;

    /// Height and width.
    fn size(&self) -> [usize; 2];

    /// Writes `count` values of a row of a channel, from a column on.
    fn read(&self, channel: usize, row: usize, column: usize, to: &mut [f32]);
}

/// A photo and what each value of its channels is for the network.
#[derive(Clone)]
pub(crate) struct Photo<'a> {
    pub(crate) pixels: Cow<'a, RgbImage>,
    pub(crate) normalize: &'a Normalize,
}

impl Photo<'_> {
    /// Writes the photo into the middle of a window that is at least as large, `[3, window[0], window[1]]`, with zeros
    /// around it; returns the rows above and the columns left of it.
    pub(crate) fn write_centred(&self, window: [usize; 2], to: &mut [f32]) -> [usize; 2] {
        let before = [0, 1].map(|axis| (window[axis] - self.size()[axis]) / 2);
        read_window(self, [0, 0], before, window, to);
        before
    }
}

impl Pixels for Photo<'_> {
    fn channels(&self) -> usize {
        3
    }

    fn size(&self) -> [usize; 2] {
        [self.pixels.height() as usize, self.pixels.width() as usize]
    }

    fn read(&self, channel: usize, row: usize, column: usize, to: &mut [f32]) {
        let start = 3 * (row * self.pixels.width() as usize + column) + channel;
        // As `Normalize` computes it.
        let shift = self.normalize.mean[channel] * 255.;
        let scale = 1. / (self.normalize.std[channel] * 255.);
        let values = self.pixels.as_raw()[start..].iter().step_by(3);
        for (to, &value) in to.iter_mut().zip(values) {
            *to = (f32::from(value) - shift) * scale;
        }
    }
}

/// An image of a tensor, `[channels, height, width]`.
pub(crate) struct Planes<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) size: [usize; 2],
}

impl Pixels for Planes<'_> {
    fn channels(&self) -> usize {
        self.values.len() / (self.size[0] * self.size[1])
    }

    fn size(&self) -> [usize; 2] {
        self.size
    }

    fn read(&self, channel: usize, row: usize, column: usize, to: &mut [f32]) {
        let [height, width] = self.size;
        let start = (channel * height + row) * width + column;
        to.copy_from_slice(&self.values[start..][..to.len()]);
    }
}

/// Writes a window `[channels, window[0], window[1]]`, zeros where it lies outside of the image.
///
/// `corner` is the window's first row and column in an image that has `before` rows and columns more at its top and
/// its left.
pub(crate) fn read_window(
    pixels: &dyn Pixels,
    corner: [usize; 2],
    before: [usize; 2],
    window: [usize; 2],
    to: &mut [f32],
) {
    let size = pixels.size();
    // The part of the window that shows the image, along each axis.
    let [rows, columns] = [0, 1].map(|axis| {
        let start = before[axis].saturating_sub(corner[axis]).min(window[axis]);
        let end = (before[axis] + size[axis]).saturating_sub(corner[axis]);
        start..end.clamp(start, window[axis])
    });
    to.fill(0.);
    for (channel, plane) in to.chunks_exact_mut(window[0] * window[1]).enumerate() {
        for y in rows.clone() {
            let row = &mut plane[y * window[1]..][columns.clone()];
            let (top, left) = (corner[0] + y, corner[1] + columns.start);
            pixels.read(channel, top - before[0], left - before[1], row);
        }
    }
}
