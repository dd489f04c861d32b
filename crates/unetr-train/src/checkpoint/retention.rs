use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::Checkpoint;

/// Which value of a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The greater one, as of IoU.
    Max,
    /// The smaller one, as of a loss.
    Min,
}

/// Which checkpoints are kept: the best by a metric, and always the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How many of the best are kept.
    pub best: usize,
    /// The metric's name, such as `validation/mean_iou`.
    pub metric: String,
    /// Which value of it is better.
    pub mode: Objective,
}

impl Retention {
    /// The `best` checkpoints by `metric`, and the last one.
    pub fn best(best: usize, metric: impl Into<String>, mode: Objective) -> Self {
        Self {
            best,
            metric: metric.into(),
            mode,
        }
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
        ranked.sort_by(|(a, left), (b, right)| {
            let better = match self.mode {
                Objective::Max => b.partial_cmp(a),
                Objective::Min => a.partial_cmp(b),
            };
            better
                .unwrap_or(Ordering::Equal)
                .then(left.step().cmp(&right.step()))
        });
        ranked
            .into_iter()
            .map(|(_, checkpoint)| checkpoint)
            .collect()
    }

    /// Whether a checkpoint stays, given all that there are, ordered by step.
    pub(super) fn keeps(&self, checkpoint: &Checkpoint, all: &[Checkpoint]) -> bool {
        let is = |other: &Checkpoint| other.step() == checkpoint.step();
        all.last().is_some_and(is) || self.ranking(all).into_iter().take(self.best).any(is)
    }
}
