use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Error, Result, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "GridDistortion";

/// Stretches and squeezes the rows and the columns of a grid on photo and mask at random; the size stays.
///
/// The grid divides the photo evenly, and its lines move, all but the photo's border; between them the photo is
/// stretched evenly. It is interpolated linearly, the mask takes the nearest pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GridDistortion {
    /// How many rows and columns the grid has; 5 of each by default.
    pub steps: [usize; 2],
    /// Least and greatest change of a row's height and of a column's width, in parts of it, before all together are
    /// made to fill the photo; -0.3 to 0.3 by default.
    pub distortion: [f64; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for GridDistortion {
    fn default() -> Self {
        Self {
            steps: [5, 5],
            distortion: [-0.3, 0.3],
            p: Probability::HALF,
        }
    }
}

impl GridDistortion {
    /// A grid of so many rows and columns, whose heights and widths change by parts of them between these two, in half
    /// of the samples.
    pub fn new(steps: [usize; 2], distortion: [f64; 2]) -> Self {
        Self {
            steps,
            distortion,
            p: Probability::HALF,
        }
    }

    fn check_settings(&self) -> Result<()> {
        const MOST: usize = 100;
        check_range(NAME, "distortion", self.distortion, [-0.9, 0.9])?;
        let [rows, columns] = self.steps;
        if (1..=MOST).contains(&rows) && (1..=MOST).contains(&columns) {
            return Ok(());
        }
        Err(Error::InvalidTransform {
            transform: NAME,
            reason: format!("steps is {rows}x{columns} (rows x columns); each must be 1 to {MOST}"),
        })
    }

    /// Where the pixels of a side come from.
    fn side(&self, rng: &mut SampleRng, length: usize, steps: usize) -> Vec<f64> {
        let cells: Vec<f64> = (0..steps)
            .map(|_| 1.0 + uniform(rng, self.distortion))
            .collect();
        let all: f64 = cells.iter().sum();
        let line = |end: &mut f64, cell: &f64| Some(std::mem::replace(end, *end + cell));
        let lines: Vec<f64> = cells.iter().scan(0.0, line).collect();
        let at = |pixel| {
            let place = (pixel as f64 + 0.5) / length as f64 * steps as f64;
            let cell = (place as usize).min(steps - 1);
            let part = lines[cell] + (place - cell as f64) * cells[cell];
            part / all * length as f64 - 0.5
        };
        (0..length).map(at).collect()
    }
}

impl Transform for GridDistortion {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        self.check_settings()?;
        if !self.p.draw(rng) {
            return Ok(());
        }
        let size = canvas.size()?;
        let [ys, xs] = [0, 1].map(|axis| self.side(rng, size[axis], self.steps[axis]));
        canvas.displace(NAME, |row| {
            let y = ys[row];
            xs.iter().map(move |x| [*x, y])
        })
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        self.check_settings()?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for GridDistortion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns] = self.steps;
        let [min, max] = self.distortion;
        let p = self.p;
        write!(
            f,
            "{NAME}({rows}x{columns}, distortion {min} to {max}, p {p})"
        )
    }
}
