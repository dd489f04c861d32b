//! Rotating an image about its centre, within its own frame.

use image::{GrayImage, RgbImage};

/// Where an output pixel comes from: the inverse of a rotation about the centre.
pub(super) struct Rotation {
    cos: f64,
    sin: f64,
    centre_x: f64,
    centre_y: f64,
}

impl Rotation {
    /// A rotation by `angle` degrees, counter-clockwise on the screen, of an image of this height
    /// and width. The centre lies between the outermost pixel centres.
    pub(super) fn new(angle: f64, [height, width]: [usize; 2]) -> Self {
        let (sin, cos) = angle.to_radians().sin_cos();
        Self {
            cos,
            sin,
            centre_x: (width as f64 - 1.0) / 2.0,
            centre_y: (height as f64 - 1.0) / 2.0,
        }
    }

    /// The source positions of output row `y`, from left to right.
    fn row(&self, y: usize, width: usize) -> impl Iterator<Item = (f64, f64)> {
        let dy = y as f64 - self.centre_y;
        let start_x = self.centre_x - self.sin * dy;
        let start_y = self.centre_y + self.cos * dy;
        (0..width).map(move |x| {
            let dx = x as f64 - self.centre_x;
            (start_x + self.cos * dx, start_y + self.sin * dx)
        })
    }

    /// Rotates a photo with linear interpolation between pixel centres; pixels outside count as
    /// `fill`.
    pub(super) fn bilinear(&self, source: &RgbImage, fill: [u8; 3]) -> RgbImage {
        let (width, height) = (source.width() as usize, source.height() as usize);
        let (pixels, _) = source.as_chunks::<3>();
        let pixel_or_fill = |x: i64, y: i64| {
            if (0..width as i64).contains(&x) && (0..height as i64).contains(&y) {
                pixels[y as usize * width + x as usize]
            } else {
                fill
            }
        };
        let mut output = RgbImage::new(source.width(), source.height());
        let (rows, _) = output.as_chunks_mut::<3>();
        for (y, row) in rows.chunks_exact_mut(width).enumerate() {
            for (out, (source_x, source_y)) in row.iter_mut().zip(self.row(y, width)) {
                let (x, y) = (floor(source_x), floor(source_y));
                let (fx, fy) = (source_x - x as f64, source_y - y as f64);
                let inside = x >= 0 && y >= 0 && x + 1 < width as i64 && y + 1 < height as i64;
                let corners = if inside {
                    let first = y as usize * width + x as usize;
                    let (above, below) = (&pixels[first..][..2], &pixels[first + width..][..2]);
                    [above[0], above[1], below[0], below[1]]
                } else {
                    [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)]
                        .map(|(x, y)| pixel_or_fill(x, y))
                };
                let [top_left, top_right, bottom_left, bottom_right] = corners;
                for channel in 0..3 {
                    let mix = |a: u8, b: u8| f64::from(a) + fx * (f64::from(b) - f64::from(a));
                    let above = mix(top_left[channel], top_right[channel]);
                    let below = mix(bottom_left[channel], bottom_right[channel]);
                    out[channel] = round(above + fy * (below - above)) as u8;
                }
            }
        }
        output
    }

    /// Rotates a mask, each pixel taking its nearest source pixel, or `fill` outside.
    pub(super) fn nearest(&self, source: &GrayImage, fill: u8) -> GrayImage {
        let (width, height) = (source.width() as usize, source.height() as usize);
        let mut output = GrayImage::new(source.width(), source.height());
        let source = source.as_raw();
        for (y, row) in output.chunks_exact_mut(width).enumerate() {
            for (out, (source_x, source_y)) in row.iter_mut().zip(self.row(y, width)) {
                let (x, y) = (round(source_x), round(source_y));
                let inside = x >= 0 && y >= 0 && x < width as i64 && y < height as i64;
                *out = if inside {
                    source[y as usize * width + x as usize]
                } else {
                    fill
                };
            }
        }
        output
    }
}

// `f64::floor` and `f64::round_ties_even` are calls into the C library on x86-64 without SSE 4.1,
// and took most of the time here. Positions and pixel values are far below 2⁵¹.

fn floor(value: f64) -> i64 {
    let truncated = value as i64;
    truncated - i64::from(value < truncated as f64)
}

/// Rounds to the nearest whole number, ties to the even one.
fn round(value: f64) -> i64 {
    // Beside a number of this size a double has no bits left for a fraction.
    const NO_FRACTION: f64 = 1.5 * (1u64 << 52) as f64;
    ((value + NO_FRACTION) - NO_FRACTION) as i64
}

#[cfg(test)]
mod tests {
    use super::{floor, round};

    #[test]
    fn whole_numbers_are_those_of_std() {
        for i in -4000..=4000 {
            let value = f64::from(i) / 8.0;
            assert_eq!(floor(value), value.floor() as i64, "{value}");
            assert_eq!(round(value), value.round_ties_even() as i64, "{value}");
        }
    }
}
