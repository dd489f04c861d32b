use serde::{Deserialize, Serialize};
use unetr_model::Precision;

use crate::{Error, Result};

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
    /// In what numbers the network multiplies; as they are by default.
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
        let refuse = |what, found: String, expected| {
            Err(Error::Config {
                what,
                found,
                expected,
            })
        };
        if !(self.from > 0. && self.from < self.to && self.to.is_finite()) {
            let found = format!("{:e} to {:e}", self.from, self.to);
            let expected = "two finite numbers above 0, the lower one first";
            return refuse("the range of learning rates", found, expected);
        }
        if self.steps < 2 {
            let found = self.steps.to_string();
            return refuse("the number of learning rates", found, "at least 2");
        }
        if !(0. ..1.).contains(&self.smoothing) {
            let found = self.smoothing.to_string();
            let expected = "at least 0 and less than 1";
            return refuse("the smoothing of the loss", found, expected);
        }
        if self.divergence.is_nan() || self.divergence <= 1. {
            let found = self.divergence.to_string();
            return refuse("the divergence of the loss", found, "more than 1");
        }
        Ok(())
    }

    /// The learning rate of an update, counted from 0: the same factor from each to the next.
    pub(super) fn lr(&self, step: u64) -> f64 {
        let progress = step as f64 / (self.steps - 1) as f64;
        self.from * (self.to / self.from).powf(progress)
    }
}
