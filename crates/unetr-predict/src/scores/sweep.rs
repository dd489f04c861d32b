use std::collections::VecDeque;
use std::sync::Arc;

use super::pixels::{Pixels, read_window};
use super::{Network, ScoreRows, SlidingWindow};
use crate::Result;

/// How windows go over an image.
#[derive(Clone)]
pub(crate) struct SweepConfig {
    window: [usize; 2],
    overlap: f64,
    /// The weight of every pixel of a window.
    weights: Arc<[f32]>,
    /// Windows that are computed at once.
    batch_size: usize,
}

impl SweepConfig {
    pub(crate) fn new(config: &SlidingWindow, window: [usize; 2], batch_size: usize) -> Self {
        Self {
            window,
            overlap: config.overlap,
            weights: config.blend.weights(window).into(),
            batch_size,
        }
    }

    /// Where the windows start along an axis of this length, which is at least a window's.
    ///
    /// Source: MONAI's `dense_patch_slices`, <https://github.com/Project-MONAI/MONAI>.
    fn starts(&self, axis: usize, length: usize) -> Vec<usize> {
        let window = self.window[axis];
        let step = match length == window {
            true => window,
            false => ((window as f64 * (1. - self.overlap)) as usize).max(1),
        };
        let last = length - window;
        let before = (0..last.div_ceil(step)).map(|i| i * step);
        before.chain([last]).collect()
    }
}

/// The scores of an image, of windows that go over it line by line, each pixel's a weighted mean over the windows that
/// show it. Kept are the rows that a window still has to be added to.
pub(crate) struct Sweep<'a> {
    network: Network<'a>,
    pixels: Box<dyn Pixels + Send + 'a>,
    config: SweepConfig,
    /// Rows above the image and columns left of it, where it is smaller than a window.
    before: [usize; 2],
    tops: Vec<usize>,
    lefts: Vec<usize>,
    /// Width of image and margins.
    width: usize,
    /// Windows that were computed.
    done: usize,
    /// The first row in `sums`, and the row that comes next.
    first: usize,
    next: usize,
    sums: VecDeque<RowSum>,
}

/// A row of image and margins.
struct RowSum {
    /// `[classes, width]`
    scores: Vec<f32>,
    /// `[width]`
    weights: Vec<f32>,
}

impl<'a> Sweep<'a> {
    pub(crate) fn new(
        network: Network<'a>,
        pixels: Box<dyn Pixels + Send + 'a>,
        config: SweepConfig,
    ) -> Self {
        let margins = [0, 1].map(|axis| config.window[axis].saturating_sub(pixels.size()[axis]));
        let whole = [0, 1].map(|axis| pixels.size()[axis] + margins[axis]);
        let before = margins.map(|margin| margin / 2);
        Self {
            tops: config.starts(0, whole[0]),
            lefts: config.starts(1, whole[1]),
            network,
            pixels,
            config,
            before,
            width: whole[1],
            done: 0,
            first: 0,
            next: before[0],
            sums: VecDeque::new(),
        }
    }

    /// The corner of a window, if there are that many.
    fn corner(&self, window: usize) -> Option<[usize; 2]> {
        let top = self.tops.get(window / self.lefts.len())?;
        Some([*top, self.lefts[window % self.lefts.len()]])
    }

    /// Computes some more windows and adds them to the rows.
    fn compute(&mut self) -> Result<()> {
        let corners: Vec<_> = (self.done..)
            .map_while(|window| self.corner(window))
            .take(self.config.batch_size)
            .collect();
        let size = self.config.window;
        let pixels = self.pixels.channels() * size[0] * size[1];
        let mut windows = vec![0.; corners.len() * pixels];
        for (window, &corner) in windows.chunks_exact_mut(pixels).zip(&corners) {
            read_window(&*self.pixels, corner, self.before, size, window);
        }
        let scored = self.network.score(windows, corners.len())?;
        let area = size[0] * size[1];
        for (scores, corner) in scored
            .scores
            .chunks_exact(scored.classes * area)
            .zip(&corners)
        {
            self.add(scores, *corner, scored.classes);
        }
        self.done += corners.len();
        Ok(())
    }

    fn add(&mut self, scores: &[f32], [top, left]: [usize; 2], classes: usize) {
        let [rows, columns] = self.config.window;
        while self.first + self.sums.len() < top + rows {
            self.sums.push_back(RowSum {
                scores: vec![0.; classes * self.width],
                weights: vec![0.; self.width],
            });
        }
        for y in 0..rows {
            let sum = &mut self.sums[top + y - self.first];
            let weights = &self.config.weights[y * columns..][..columns];
            let total = &mut sum.weights[left..][..columns];
            total
                .iter_mut()
                .zip(weights)
                .for_each(|(total, weight)| *total += weight);
            for class in 0..classes {
                let scores = &scores[(class * rows + y) * columns..][..columns];
                let sums = &mut sum.scores[class * self.width + left..][..columns];
                for ((sum, score), weight) in sums.iter_mut().zip(scores).zip(weights) {
                    *sum += score * weight;
                }
            }
        }
    }
}

impl ScoreRows for Sweep<'_> {
    fn size(&self) -> [usize; 2] {
        self.pixels.size()
    }

    fn next_row(&mut self) -> Result<Vec<f32>> {
        while self
            .corner(self.done)
            .is_some_and(|[top, _]| top <= self.next)
        {
            self.compute()?;
        }
        // What lies above belongs to no later row.
        self.sums.drain(..self.next - self.first);
        let row = self.sums.pop_front().expect("windows cover every row");
        self.first = self.next + 1;
        self.next += 1;
        let columns = self.before[1]..self.before[1] + self.pixels.size()[1];
        let planes = row.scores.chunks_exact(self.width);
        let means = planes.flat_map(|plane| {
            let sums = plane[columns.clone()]
                .iter()
                .zip(&row.weights[columns.clone()]);
            sums.map(|(sum, weight)| sum / weight)
        });
        Ok(means.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_start_where_those_of_monai_do() {
        let starts = |window, overlap, length| {
            let config = SlidingWindow {
                overlap,
                ..SlidingWindow::default()
            };
            SweepConfig::new(&config, [window; 2], 1).starts(0, length)
        };
        assert_eq!(starts(32, 0.25, 32), [0]);
        assert_eq!(starts(32, 0.25, 56), [0, 24]);
        assert_eq!(starts(32, 0.25, 57), [0, 24, 25]);
        assert_eq!(starts(32, 0., 64), [0, 32]);
        assert_eq!(starts(32, 0.5, 75), [0, 16, 32, 43]);
    }
}
