use serde::{Deserialize, Serialize};
use unetr_model::Precision;

use crate::Result;
use crate::check::{check, check_not_negative, check_part};

/// The range and length of a search for the learning rate; the defaults are fastai's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LrFinderConfig {
    /// The first learning rate; 1e-7 by default.
    pub from: f64,
    /// The last learning rate; 10 by default.
    pub to: f64,
    /// Updates from the first to the last; 100 by default.
    pub steps: u64,
    /// The part of the smoothed loss that each new loss leaves; 0.98 by default.
    pub smoothing: f64,
    /// Ends the search when the smoothed loss is this many times its lowest value; 4 by default.
    pub divergence: f64,
    /// What dropout draws from; 0 by default.
    pub seed: u64,
    /// Factor of the loss of each auxiliary head, as
    /// [`TrainerConfig::auxiliary_weight`](crate::TrainerConfig::auxiliary_weight); 0.4 by default.
    pub auxiliary_weight: f64,
    /// In what numbers the network multiplies; as they are by default. Not f16, for which the trainer scales the loss.
    pub precision: Precision,
}

impl Default for LrFinderConfig {
    fn default() -> Self {
        Self {
            from: 1e-7,
            to: 10.,
            steps: 100,
            smoothing: 0.98,
            divergence: 4.,
            seed: 0,
            auxiliary_weight: 0.4,
            precision: Precision::Full,
        }
    }
}

impl LrFinderConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When one is out of range.
    pub fn validate(&self) -> Result<()> {
        check(
            "the range of learning rates",
            &format_args!("{:e} to {:e}", self.from, self.to),
            self.from > 0. && self.from < self.to && self.to.is_finite(),
            "two finite numbers above 0, the lower one first",
        )?;
        let what = "the number of learning rates";
        check(what, &self.steps, self.steps >= 2, "at least 2")?;
        check_part("the smoothing of the loss", self.smoothing)?;
        check_not_negative("auxiliary_weight", self.auxiliary_weight)?;
        let what = "the precision of the search for a learning rate";
        let found = self.precision;
        let scaled = found == Precision::F16;
        check(
            what,
            &found,
            !scaled,
            "one without a scaled loss: f32, tf32 or bf16",
        )?;
        let what = "the divergence of the loss";
        check(what, &self.divergence, self.divergence > 1., "more than 1")
    }

    /// The learning rate of an update, counted from 0: the same factor from each to the next.
    pub(super) fn lr(&self, step: u64) -> f64 {
        let progress = step as f64 / (self.steps - 1) as f64;
        self.from * (self.to / self.from).powf(progress)
    }
}
