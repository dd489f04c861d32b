//! Weighted sums over the neighbours of every pixel.

use image::RgbImage;

/// A neighbour and its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tap {
    /// How many columns to the right it lies.
    pub(super) x: isize,
    /// How many rows further down.
    pub(super) y: isize,
    pub(super) weight: f32,
}

/// Replaces a photo's pixels by sums over their neighbours, pass after pass, rounded after the last.
///
/// At its border the photo is mirrored, without repeating the outermost pixels: OpenCV's `BORDER_REFLECT_101`.
pub(super) fn convolve(pixels: &mut RgbImage, passes: &[Vec<Tap>]) {
    let size = [pixels.height(), pixels.width()].map(|length| length as usize);
    let mut values: Vec<f32> = pixels.iter().copied().map(f32::from).collect();
    for taps in passes {
        values = pass(&values, size, taps);
    }
    for (value, sum) in pixels.iter_mut().zip(values) {
        *value = (sum + 0.5) as u8;
    }
}

fn pass(values: &[f32], [height, width]: [usize; 2], taps: &[Tap]) -> Vec<f32> {
    let margin = taps.iter().map(|tap| tap.x.abs()).max().unwrap_or(0);
    let mut wide = Vec::new();
    for row in values.chunks_exact(3 * width) {
        let (pixels, _) = row.as_chunks::<3>();
        let mirrored = |x| pixels[reflect(x, width)];
        wide.extend((-margin..0).flat_map(mirrored));
        wide.extend_from_slice(row);
        wide.extend((0..margin).map(|x| width as isize + x).flat_map(mirrored));
    }
    let stride = wide.len() / height;
    let mut sums = vec![0.0; values.len()];
    for (y, sums) in (0..).zip(sums.chunks_exact_mut(3 * width)) {
        for tap in taps {
            let first = reflect(y + tap.y, height) * stride + 3 * (margin + tap.x) as usize;
            for (sum, value) in sums.iter_mut().zip(&wide[first..][..3 * width]) {
                *sum += tap.weight * value;
            }
        }
    }
    sums
}

/// The place inside of an axis of this length that a place outside of it mirrors.
pub(super) fn reflect(place: isize, length: usize) -> usize {
    let last = length as isize - 1;
    if last == 0 {
        return 0;
    }
    let folded = place.rem_euclid(2 * last);
    folded.min(2 * last - folded) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_outside_are_mirrored() {
        let places: Vec<usize> = (-5..8).map(|place| reflect(place, 4)).collect();
        assert_eq!(places, [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!((-3..3).map(|place| reflect(place, 1)).sum::<usize>(), 0);
    }
}
