/// Longer lines are thinned out: finer than a pixel, nobody sees.
const MOST_POINTS: usize = 600;
/// Colours of the style sheet.
const COLOURS: usize = 6;

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    Solid,
    Dashed,
}

/// Whether the legend has a line. Its readout always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Legend {
    Listed,
    Omitted,
}

/// A named line. Values that are not finite leave a gap.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: usize,
    pub(super) stroke: Stroke,
    pub(super) points: Vec<(u64, f64)>,
    /// A point to point out.
    pub(super) mark: Option<(u64, f64)>,
    pub(super) legend: Legend,
}

impl Line {
    pub(super) fn new(name: String, colour: usize, points: Vec<(u64, f64)>) -> Self {
        Self {
            name,
            colour,
            stroke: Stroke::Solid,
            points,
            mark: None,
            legend: Legend::Listed,
        }
    }

    /// The lowest and the highest of each part of a long line.
    pub(super) fn thinned(&self) -> Vec<(u64, f64)> {
        let points = &self.points;
        if points.len() <= MOST_POINTS {
            return points.clone();
        }
        let part = points.len().div_ceil(MOST_POINTS / 2);
        let ends = |part: &[(u64, f64)]| {
            let by_value = |a: &&(u64, f64), b: &&(u64, f64)| a.1.total_cmp(&b.1);
            let mut ends: Vec<(u64, f64)> = part
                .iter()
                .min_by(by_value)
                .into_iter()
                .chain(part.iter().max_by(by_value))
                .copied()
                .collect();
            ends.sort_by_key(|point| point.0);
            ends.dedup();
            ends
        };
        points.chunks(part).flat_map(ends).collect()
    }

    /// The style of a part of a line.
    pub(super) fn style(&self, part: &str) -> String {
        let dashed = match self.stroke {
            Stroke::Solid => "",
            Stroke::Dashed => " dashed",
        };
        format!("{part} c{}{dashed}", self.colour % COLOURS)
    }
}
