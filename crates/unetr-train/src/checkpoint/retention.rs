use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::Checkpoint;
use crate::Result;
use crate::check::check;

/// Which value of a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The greater one, as of IoU.
    Max,
    /// The smaller one, as of a loss.
    Min,
}

impl Objective {
    /// How two values compare, the better one first; NaN is as good as nothing.
    fn compare(self, a: f64, b: f64) -> Ordering {
        let better = match self {
            Self::Max => b.partial_cmp(&a),
            Self::Min => a.partial_cmp(&b),
        };
        better.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    }

    /// Whether `a` is better than `b` by more than `margin`.
    pub(crate) fn improves(self, a: f64, b: f64, margin: f64) -> bool {
        match self {
            Self::Max => a > b + margin,
            Self::Min => a < b - margin,
        }
    }
}

/// Which checkpoints are kept: the best by a metric, and the last ones.
///
/// # Examples
/// ```
/// use unetr_train::{Objective, Retention};
///
/// let retention = Retention::best(2, "validation/mean_iou", Objective::Max).last(3).every_epochs(10);
/// assert_eq!((retention.best, retention.last), (2, 3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How many of the best are kept; 2 by default.
    pub best: usize,
    /// The metric's name; `validation/mean_iou` by default.
    pub metric: String,
    /// Which value of it is better; the greater one by default.
    #[serde(alias = "mode")]
    pub objective: Objective,
    /// How many of the last are kept; 1 by default, and never fewer.
    pub last: usize,
    /// Keeps the checkpoints after every so many epochs for ever; none by default.
    pub every_epochs: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self::best(2, "validation/mean_iou", Objective::Max)
    }
}

impl Retention {
    /// The `best` checkpoints by `metric`, and the last one.
    pub fn best(best: usize, metric: impl Into<String>, objective: Objective) -> Self {
        Self {
            best,
            metric: metric.into(),
            objective,
            last: 1,
            every_epochs: None,
        }
    }

    /// The last so many too.
    #[must_use]
    pub fn last(self, last: usize) -> Self {
        Self { last, ..self }
    }

    /// Those after every so many epochs too, for ever.
    #[must_use]
    pub fn every_epochs(self, epochs: u64) -> Self {
        let every_epochs = Some(epochs);
        Self {
            every_epochs,
            ..self
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// When checkpoints are to be kept after every 0 epochs.
    pub fn validate(&self) -> Result<()> {
        let every = self.every_epochs.unwrap_or(1);
        check(
            "every_epochs of the checkpoints",
            &every,
            every > 0,
            "at least 1",
        )
    }

    /// The checkpoints that have the metric, the best first. Of equal values the earlier
    /// checkpoint is better; NaN is as good as no value.
    pub(super) fn ranking<'a>(&self, checkpoints: &'a [Checkpoint]) -> Vec<&'a Checkpoint> {
        let value = |checkpoint: &Checkpoint| checkpoint.metrics().get(&self.metric).copied();
        let mut ranked: Vec<(f64, &Checkpoint)> = checkpoints
            .iter()
            .filter_map(|checkpoint| Some((value(checkpoint)?, checkpoint)))
            .filter(|(value, _)| !value.is_nan())
            .collect();
        ranked.sort_by(|&(a, left), &(b, right)| {
            let better = self.objective.compare(a, b);
            better.then(left.step().cmp(&right.step()))
        });
        ranked
            .into_iter()
            .map(|(_, checkpoint)| checkpoint)
            .collect()
    }

    /// Whether a checkpoint stays, given all that there are, ordered by step.
    pub(super) fn keeps(&self, checkpoint: &Checkpoint, all: &[Checkpoint]) -> bool {
        let is = |other: &Checkpoint| other.step() == checkpoint.step();
        let last = all.iter().rev().take(self.last.max(1));
        let best = self.ranking(all).into_iter().take(self.best);
        let epoch = checkpoint.epoch();
        // Those within the epoch that follows have completed as many.
        let first = || all.iter().find(|other| other.epoch() == epoch);
        last.chain(best).any(is) || (self.keeps_epoch(epoch) && first().is_some_and(is))
    }

    /// Whether the checkpoint after so many epochs is kept for ever.
    pub(super) fn keeps_epoch(&self, epoch: u64) -> bool {
        epoch > 0
            && self
                .every_epochs
                .is_some_and(|every| epoch.is_multiple_of(every))
    }
}
