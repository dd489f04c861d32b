use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::number;

/// The part of the data a metric was measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// What the model is trained on.
    Train,
    /// What decides which model is best.
    Validation,
    /// What is looked at once, at the end.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// What was measured at one moment of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Epochs completed.
    pub epoch: u64,
    /// Updates made.
    pub step: u64,
    /// The learning rate of the last update.
    #[serde(with = "number")]
    pub lr: f64,
    /// Seconds since the last record.
    #[serde(with = "number")]
    pub seconds: f64,
    /// Images trained on per second, evaluation not counted.
    #[serde(with = "number")]
    pub images_per_second: f64,
    metrics: BTreeMap<Split, Metrics>,
}

/// Values by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Metrics(#[serde(with = "number::map")] BTreeMap<String, f64>);

impl Record {
    /// A record after `epoch` epochs and `step` updates, still without metrics.
    pub fn new(epoch: u64, step: u64) -> Self {
        Self {
            epoch,
            step,
            lr: 0.0,
            seconds: 0.0,
            images_per_second: 0.0,
            metrics: BTreeMap::new(),
        }
    }

    /// Adds one metric.
    #[must_use]
    pub fn metric(self, split: Split, name: &str, value: f64) -> Self {
        self.metrics(split, [(name.to_owned(), value)])
    }

    /// Adds metrics by name, such as those of `MetricSet::compute`.
    #[must_use]
    pub fn metrics(
        mut self,
        split: Split,
        values: impl IntoIterator<Item = (String, f64)>,
    ) -> Self {
        self.metrics.entry(split).or_default().0.extend(values);
        self
    }

    /// The value of a metric of a split.
    pub fn get(&self, split: Split, name: &str) -> Option<f64> {
        self.metrics.get(&split)?.0.get(name).copied()
    }

    /// All metrics under flat names, `validation/mean_iou`.
    pub fn flat_metrics(&self) -> BTreeMap<String, f64> {
        let flatten = |(split, metrics): (&Split, &Metrics)| -> Vec<(String, f64)> {
            metrics
                .0
                .iter()
                .map(|(name, &value)| (format!("{split}/{name}"), value))
                .collect()
        };
        self.metrics.iter().flat_map(flatten).collect()
    }
}
