use serde::{Deserialize, Serialize};
use unetr_model::Precision;

use crate::{Error, Result};

/// How long a training run is and when it is evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerConfig {
    /// Passes over the training set; 50 by default, the tutorial's.
    pub epochs: u64,
    /// Ends the run after so many updates, whatever the epochs; none by default.
    pub max_steps: Option<u64>,
    /// Evaluates after the first epoch, after every so many more, and after the last; 3 by
    /// default, the tutorial's.
    pub eval_every: u64,
    /// What dropout draws from; 0 by default.
    pub seed: u64,
    /// Reads the loss from the device every so many updates; 1 by default. Each reading waits for
    /// the device, which costs time on a GPU and none on a CPU.
    pub log_every: u64,
    /// In what numbers the network multiplies; as they are by default. With [`Precision::Bf16`]
    /// parameters, losses and the optimiser stay in f32.
    pub precision: Precision,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            epochs: 50,
            max_steps: None,
            eval_every: 3,
            seed: 0,
            log_every: 1,
            precision: Precision::Full,
        }
    }
}

impl TrainerConfig {
    /// Checks that there is something to do.
    ///
    /// # Errors
    /// When a number is 0.
    pub fn validate(&self) -> Result<()> {
        let numbers = [
            ("the number of epochs", self.epochs),
            ("the number of steps", self.max_steps.unwrap_or(1)),
            ("the distance of evaluations", self.eval_every),
            ("the distance of log lines", self.log_every),
        ];
        match numbers.into_iter().find(|&(_, number)| number == 0) {
            Some((what, _)) => Err(Error::Config {
                what,
                found: "0".to_owned(),
                expected: "at least 1",
            }),
            None => Ok(()),
        }
    }

    /// How many updates the run makes with epochs of so many batches.
    pub fn steps(&self, batches_per_epoch: u64) -> u64 {
        let steps = self.epochs * batches_per_epoch;
        self.max_steps.map_or(steps, |max| steps.min(max))
    }

    /// Whether the epoch that is the `epoch`th, counted from 1, is followed by an evaluation.
    pub(super) fn evaluates_after(&self, epoch: u64) -> bool {
        (epoch - 1).is_multiple_of(self.eval_every) || epoch == self.epochs
    }
}
