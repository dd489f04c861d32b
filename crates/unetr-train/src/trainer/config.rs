use serde::{Deserialize, Serialize};
use unetr_model::Precision;

use crate::check::{check, check_not_negative, check_part};
use crate::{Objective, Result, number};

/// How long a training run is, how its gradients are treated, when it is evaluated and saved.
///
/// # Examples
/// ```
/// use unetr_train::{EmaConfig, TrainerConfig};
///
/// let config = TrainerConfig {
///     epochs: 10,
///     clip_norm: Some(1.),
///     ema: Some(EmaConfig::default()),
///     ..TrainerConfig::default()
/// };
/// config.validate()?;
/// assert_eq!(config.steps(98), 980);
/// # Ok::<(), unetr_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerConfig {
    /// Passes over the training set; 50 by default, the tutorial's.
    pub epochs: u64,
    /// Ends the run after so many updates, whatever the epochs; none by default.
    pub max_steps: Option<u64>,
    /// Batches whose mean gradient makes one update; 1 by default. The last update of an epoch may
    /// have fewer.
    pub accumulate: u64,
    /// Scales gradients down to this norm where that of all together is greater (Pascanu et al.
    /// 2013, <https://arxiv.org/abs/1211.5063>); none by default. An infinite bound changes nothing and has the norm
    /// measured, for progress and history.
    #[serde(with = "number::option")]
    pub clip_norm: Option<f64>,
    /// Bounds every number of every gradient to this absolute value, before the norm; none by
    /// default.
    pub clip_value: Option<f64>,
    /// Averages the parameters over the updates, and evaluates and saves the averages; none by
    /// default.
    pub ema: Option<EmaConfig>,
    /// Evaluates after the first epoch, after every so many more, and after the last; 3 by
    /// default, the tutorial's.
    pub eval_every: u64,
    /// Ends the run where evaluations no longer get better; none by default.
    pub early_stopping: Option<EarlyStopping>,
    /// Saves a checkpoint after every so many updates too; none by default.
    pub save_every_steps: Option<u64>,
    /// Saves a checkpoint whenever so many minutes have passed since the last one; none by default.
    pub save_every_minutes: Option<f64>,
    /// What dropout draws from; 0 by default.
    pub seed: u64,
    /// Reads the loss from the device every so many updates; 1 by default. Each reading waits for
    /// the device, which costs time on a GPU and none on a CPU.
    pub log_every: u64,
    /// Factor of the cross entropy of each auxiliary head, where the network has such heads; 0.4 by
    /// default. See [`SegmentationModel::forward_training`](unetr_model::SegmentationModel::forward_training).
    pub auxiliary_weight: f64,
    /// In what numbers the network multiplies; as they are by default. Parameters, losses and the
    /// optimiser stay in f32. With [`Precision::F16`] the loss is scaled by a factor that adapts itself,
    /// and an update whose gradients are not finite is left out.
    pub precision: Precision,
}

/// An exponential moving average of the parameters.
///
/// The decay grows from small values, as `(1 + n) / (10 + n)` after `n` updates, up to `decay`, so that
/// initial values are soon forgotten.
///
/// Source: Polyak and Juditsky 1992, <https://doi.org/10.1137/0330046>; the growth is that of
/// `tf.train.ExponentialMovingAverage`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmaConfig {
    /// What remains of the average at an update; 0.999 by default.
    pub decay: f64,
    /// Updates the average after every so many updates of the parameters, with the decay of that
    /// many; 1 by default. It saves time where a network is large and its batches small.
    pub every: u64,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self {
            decay: 0.999,
            every: 1,
        }
    }
}

/// When a run that no longer gets better ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStopping {
    /// What is watched; `validation/mean_iou` by default.
    pub metric: String,
    /// Which value of it is better; the greater one by default.
    #[serde(alias = "mode")]
    pub objective: Objective,
    /// How many evaluations in a row may be no better than the best before; 5 by default.
    pub patience: u64,
    /// By how much a value has to be better; 0 by default.
    pub min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self {
            metric: "validation/mean_iou".into(),
            objective: Objective::Max,
            patience: 5,
            min_delta: 0.,
        }
    }
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            epochs: 50,
            max_steps: None,
            accumulate: 1,
            clip_norm: None,
            clip_value: None,
            ema: None,
            eval_every: 3,
            early_stopping: None,
            save_every_steps: None,
            save_every_minutes: None,
            seed: 0,
            log_every: 1,
            auxiliary_weight: 0.4,
            precision: Precision::Full,
        }
    }
}

impl TrainerConfig {
    /// Checks that there is something to do.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn validate(&self) -> Result<()> {
        let ema = self.ema.unwrap_or_default();
        let counts = [
            ("epochs", self.epochs),
            ("max_steps", self.max_steps.unwrap_or(1)),
            ("accumulate", self.accumulate),
            ("ema.every", ema.every),
            ("eval_every", self.eval_every),
            ("save_every_steps", self.save_every_steps.unwrap_or(1)),
            ("log_every", self.log_every),
        ];
        for (what, count) in counts {
            check(what, &count, count > 0, "at least 1")?;
        }
        let bounds = [
            ("clip_norm", self.clip_norm),
            ("clip_value", self.clip_value),
            ("save_every_minutes", self.save_every_minutes),
        ];
        for (what, bound) in bounds {
            let bound = bound.unwrap_or(1.);
            check(what, &bound, bound > 0., "a number greater than 0")?;
        }
        check_part("ema.decay", ema.decay)?;
        check_not_negative("auxiliary_weight", self.auxiliary_weight)?;
        let EarlyStopping { min_delta, .. } = self.early_stopping.clone().unwrap_or_default();
        check(
            "early_stopping.min_delta",
            &min_delta,
            min_delta >= 0.,
            "a number of at least 0",
        )
    }

    /// How many updates the run makes with epochs of so many batches, where no sample is skipped.
    pub fn steps(&self, batches_per_epoch: usize) -> u64 {
        let steps = self
            .epochs
            .saturating_mul(self.steps_per_epoch(batches_per_epoch));
        self.max_steps.map_or(steps, |max| steps.min(max))
    }

    /// How many updates an epoch of so many batches has.
    pub fn steps_per_epoch(&self, batches_per_epoch: usize) -> u64 {
        (batches_per_epoch as u64).div_ceil(self.accumulate)
    }

    /// Whether the gradients of all parameters have to be there before an update.
    pub(super) fn collects_gradients(&self) -> bool {
        self.accumulate > 1
            || self.clip_norm.is_some()
            || self.clip_value.is_some()
            || self.scales_loss()
    }

    /// Whether the loss is multiplied before the backward pass, as f16 needs it.
    pub(super) fn scales_loss(&self) -> bool {
        self.precision == Precision::F16
    }

    /// Whether the epoch that is the `epoch`th, counted from 1, is followed by an evaluation.
    pub(super) fn evaluates_after(&self, epoch: u64) -> bool {
        (epoch - 1).is_multiple_of(self.eval_every) || epoch == self.epochs
    }
}
