use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Result, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "ElasticTransform";

/// Moves the pixels of photo and mask by a smooth random field, as if they were printed on rubber; the size stays.
///
/// Source: P. Y. Simard, D. Steinkraus, J. C. Platt, "Best Practices for Convolutional Neural Networks Applied to
/// Visual Document Analysis", ICDAR 2003: random displacements, smoothed by a Gaussian. Here they are drawn on a coarse
/// grid and blended by cubic B-splines, which are a Gaussian to within 4 % of its height and cost the same whatever
/// the smoothness. The weights of these sum to 1, so that no pixel moves farther than asked, whereas Simard's factor
/// `alpha` counts before the smoothing.
///
/// The photo is interpolated linearly, the mask takes the nearest pixel. Beyond the photo there is its outermost pixel,
/// so that no class appears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElasticTransform {
    /// Least and greatest strength, one being drawn for the photo: the farthest that a pixel may move along a row or
    /// column, in pixels; 5 to 10 by default. The standard deviation of what pixels move is 0.28 of it. Up to
    /// half of `sigma` the photo never folds over itself.
    pub alpha: [f64; 2],
    /// Least and greatest smoothness: the standard deviation of the Gaussian in pixels; 20 to 30 by default.
    pub sigma: [f64; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for ElasticTransform {
    fn default() -> Self {
        Self::new([5.0, 10.0], [20.0, 30.0])
    }
}

impl ElasticTransform {
    /// Moves pixels by up to `alpha` pixels with a smoothness of `sigma` pixels, in half of the samples.
    pub fn new(alpha: [f64; 2], sigma: [f64; 2]) -> Self {
        Self {
            alpha,
            sigma,
            p: Probability::HALF,
        }
    }

    fn check_settings(&self) -> Result<()> {
        check_range(NAME, "alpha", self.alpha, [0.0, 1000.0])?;
        check_range(NAME, "sigma", self.sigma, [1.0, 1000.0])
    }
}

/// A smooth field of displacements, cubic B-splines over a coarse grid of random ones.
struct Field {
    /// The grid's displacements, row by row, and how many columns it has.
    grid: Vec<[f64; 2]>,
    columns: usize,
    /// For each row and each column of the photo.
    down: Vec<Spline>,
    across: Vec<Spline>,
}

/// The first of the four neighbouring points of the grid on which a place depends, and their weights.
type Spline = (usize, [f64; 4]);

impl Field {
    fn random(rng: &mut SampleRng, size: [usize; 2], alpha: f64, sigma: f64) -> Self {
        // Such a spline is the density of four uniform numbers' sum: a third of the spacing's square in variance.
        let spacing = 3f64.sqrt() * sigma;
        let [down, across] = size.map(|length| splines(length, spacing));
        let points = |splines: &[Spline]| splines.last().map_or(0, |(first, _)| first + 4);
        let columns = points(&across);
        let displacement = |_| [0; 2].map(|_| uniform(rng, [-alpha, alpha]));
        Self {
            grid: (0..points(&down) * columns).map(displacement).collect(),
            columns,
            down,
            across,
        }
    }

    /// Where the pixels of a row come from.
    fn row(&self, y: usize) -> impl Iterator<Item = [f64; 2]> {
        let (first, weights) = self.down[y];
        let grid = &self.grid[first * self.columns..];
        let column = |x| blend(weights, grid[x..].iter().step_by(self.columns));
        let row: Vec<[f64; 2]> = (0..self.columns).map(column).collect();
        let across = self.across.iter().enumerate();
        across.map(move |(x, &(first, weights))| {
            let [dx, dy] = blend(weights, &row[first..][..4]);
            [x as f64 + dx, y as f64 + dy]
        })
    }
}

fn blend<'a>(weights: [f64; 4], values: impl IntoIterator<Item = &'a [f64; 2]>) -> [f64; 2] {
    let weighted = weights.iter().zip(values);
    weighted.fold([0.0; 2], |[x, y], (weight, [dx, dy])| {
        [x + weight * dx, y + weight * dy]
    })
}

fn splines(length: usize, spacing: f64) -> Vec<Spline> {
    let at = |pixel| {
        let place = pixel as f64 / spacing;
        let first = place as usize;
        (first, cubic_b_spline(place - first as f64))
    };
    (0..length).map(at).collect()
}

/// The weights of the points -1, 0, 1 and 2 at a place between 0 and 1.
fn cubic_b_spline(t: f64) -> [f64; 4] {
    let s = 1.0 - t;
    let near = |t: f64| (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0;
    [s * s * s / 6.0, near(t), near(s), t * t * t / 6.0]
}

impl Transform for ElasticTransform {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        self.check_settings()?;
        if !self.p.draw(rng) {
            return Ok(());
        }
        let (alpha, sigma) = (uniform(rng, self.alpha), uniform(rng, self.sigma));
        let field = Field::random(rng, canvas.size()?, alpha, sigma);
        canvas.displace(NAME, |y| field.row(y))
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        self.check_settings()?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for ElasticTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [weak, strong] = self.alpha;
        let [rough, smooth] = self.sigma;
        let p = self.p;
        write!(
            f,
            "{NAME}(alpha {weak} to {strong}, sigma {rough} to {smooth}, p {p})"
        )
    }
}
