use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unetr_data::Position;
use unetr_metrics::Average;

use super::loss_scale::LossScale;
use crate::{Checkpoint, Error, Result, Schedule, number};

/// The first format, which counted batches.
const BY_BATCHES: u32 = 1;

/// Settings that a resumed run may change without becoming another one.
const FREE: [&str; 11] = [
    "trainer.epochs",
    "trainer.max_steps",
    "trainer.eval_every",
    "trainer.early_stopping",
    "trainer.save_every_steps",
    "trainer.save_every_minutes",
    "trainer.log_every",
    "loader.workers",
    "loader.prefetch",
    "evaluations",
    "schedule",
];

/// Where a run stands, beside parameters and optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunState {
    /// Updates made.
    pub(super) step: u64,
    /// Updates made in the epoch that is under way.
    pub(super) steps_of_epoch: u64,
    /// The next batch.
    pub(super) loader: Position,
    /// Means over the epoch that is under way.
    pub(super) means: BTreeMap<String, Average>,
    /// What early stopping knows.
    pub(super) patience: Patience,
    /// Of gradients in f16.
    #[serde(default)]
    pub(super) loss_scale: LossScale,
    /// What the run is, by its settings.
    pub(super) run: Value,
}

/// The best value so far, and for how many evaluations there was no better one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patience {
    #[serde(with = "number::option")]
    pub(super) best: Option<f64>,
    pub(super) evaluations: u64,
}

/// What checkpoints of the first format hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ByBatches {
    step: u64,
    epoch: u64,
    batch: usize,
    means: BTreeMap<String, Average>,
    seed: u64,
    batches_per_epoch: u64,
    optimizer: String,
    schedule: Schedule,
}

impl RunState {
    /// The beginning of a run.
    pub(super) fn beginning(run: Value) -> Self {
        Self {
            step: 0,
            steps_of_epoch: 0,
            loader: Position::default(),
            means: BTreeMap::new(),
            patience: Patience::default(),
            loss_scale: LossScale::default(),
            run,
        }
    }

    /// The state in a checkpoint of any format that is read, for a loader of this batch size.
    pub(super) fn read(checkpoint: &Checkpoint, batch_size: usize) -> Result<Self> {
        if checkpoint.format() != BY_BATCHES {
            return checkpoint.state();
        }
        let old: ByBatches = checkpoint.state()?;
        Ok(Self {
            step: old.step,
            steps_of_epoch: old.batch as u64,
            loader: Position {
                epoch: old.epoch,
                samples: old.batch.saturating_mul(batch_size),
            },
            means: old.means,
            patience: Patience::default(),
            loss_scale: LossScale::default(),
            run: json!({
                "trainer": {"seed": old.seed},
                "loader": {"batches": old.batches_per_epoch},
                "optimizer": old.optimizer,
                "schedule": old.schedule,
            }),
        })
    }

    /// What early stopping still knows in a run that is `own`: nothing where something else is watched, or on other data.
    pub(super) fn patience_in(&self, own: &Value) -> Patience {
        let watched = |run: &Value| {
            let stopping = &run["trainer"]["early_stopping"];
            let metric = stopping["metric"].as_str().unwrap_or_default();
            let (split, _) = metric.split_once('/').unwrap_or_default();
            let data = &run["evaluations"][split];
            [&stopping["metric"], &stopping["objective"], data].map(Value::clone)
        };
        match watched(&self.run) == watched(own) {
            true => self.patience,
            false => Patience::default(),
        }
    }

    /// Checks that a saved state belongs to the run that is `own`.
    ///
    /// # Errors
    /// When a setting differs that a resumed run can't change.
    pub(super) fn check(&self, own: &Value, checkpoint: &Checkpoint) -> Result<()> {
        let (saved, own) = (flatten(&self.run), flatten(own));
        let same_version = checkpoint.version() == env!("CARGO_PKG_VERSION");
        let complete = same_version && checkpoint.format() != BY_BATCHES;
        let mut differences = Vec::new();
        let keys = saved
            .keys()
            .chain(own.keys().filter(|key| !saved.contains_key(*key)));
        for key in keys {
            let (old, new) = (saved.get(key), own.get(key));
            // Other versions may have other settings.
            if old == new || (!complete && (old.is_none() || new.is_none())) {
                continue;
            }
            let show = |value: Option<&String>| value.map_or("nothing".into(), String::clone);
            let difference = format!("{key} is {} there and {} here", show(old), show(new));
            let is_free = |free: &&str| key.strip_prefix(*free).is_some_and(ends_key);
            if FREE.iter().any(is_free) {
                log::warn!("resuming with another setting: {difference}");
            } else {
                differences.push(difference);
            }
        }
        if differences.is_empty() {
            return Ok(());
        }
        let path = checkpoint.path().to_owned();
        Err(Error::Resume { path, differences })
    }
}

/// Whether a key ends here, given the rest of it.
fn ends_key(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

/// The leaves of a value under dotted keys.
fn flatten(value: &Value) -> BTreeMap<String, String> {
    fn visit(key: String, value: &Value, leaves: &mut BTreeMap<String, String>) {
        let below = |part: &str| match key.as_str() {
            "" => part.to_owned(),
            key => format!("{key}.{part}"),
        };
        match value {
            Value::Object(object) => object
                .iter()
                .for_each(|(part, value)| visit(below(part), value, leaves)),
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                let items = items.iter().enumerate();
                items.for_each(|(index, value)| visit(below(&index.to_string()), value, leaves));
            }
            Value::Null => {}
            leaf => {
                leaves.insert(key, leaf.to_string());
            }
        }
    }
    let mut leaves = BTreeMap::new();
    visit(String::new(), value, &mut leaves);
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_watched_decides_what_early_stopping_knows() {
        let run = |metric: &str, patience: u64, samples: &str| {
            let stopping = json!({"metric": metric, "objective": "max", "patience": patience});
            let evaluations = json!({"validation": samples, "test": metric});
            json!({"trainer": {"early_stopping": stopping}, "evaluations": evaluations})
        };
        let with_other_test = |mut run: Value| {
            run["evaluations"]["test"] = "other".into();
            run
        };
        let mut state = RunState::beginning(run("validation/mean_iou", 3, "a"));
        state.patience.best = Some(0.5);
        let best = |own: Value| state.patience_in(&own).best;
        assert_eq!(best(run("validation/mean_iou", 9, "a")), Some(0.5));
        let same = with_other_test(run("validation/mean_iou", 3, "a"));
        assert_eq!(best(same), Some(0.5));
        assert_eq!(best(run("validation/loss", 3, "a")), None);
        assert_eq!(best(run("validation/mean_iou", 3, "b")), None);
    }

    #[test]
    fn leaves_have_dotted_keys() {
        let value = json!({"a": {"b": 1, "c": [1, 2]}, "d": [{"e": "x"}], "f": null});
        let leaves: Vec<(String, String)> = flatten(&value).into_iter().collect();
        let expected = [("a.b", "1"), ("a.c", "[1,2]"), ("d.0.e", "\"x\"")];
        assert_eq!(
            leaves,
            expected.map(|(key, value)| (key.into(), value.into()))
        );
    }

    #[test]
    fn a_key_that_begins_with_a_free_one_is_not_free() {
        assert!(ends_key("") && ends_key(".patience") && !ends_key("_after"));
    }
}
