use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use unetr_metrics::Average;
use unetr_model::Parameters;

use crate::{Checkpoint, Checkpoints, Error, Optimizer, Record, Result, Schedule};

pub(super) const MODEL: &str = "model.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// Where a run stands, beside model and optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Updates made.
    pub(super) step: u64,
    /// Epochs completed.
    pub(super) epoch: u64,
    /// Batches already used of the epoch that is under way.
    pub(super) batch: usize,
    /// Means over that epoch so far.
    pub(super) means: BTreeMap<String, Average>,
    /// The seed of the run.
    pub(super) seed: u64,
    /// Batches in an epoch.
    pub(super) batches_per_epoch: u64,
    pub(super) optimizer: String,
    pub(super) schedule: Schedule,
}

/// Writes a checkpoint of everything that a resumed run needs.
pub(super) fn save(
    checkpoints: &mut Checkpoints,
    position: &Position,
    record: Option<&Record>,
    parameters: &Parameters,
    optimizer: &dyn Optimizer,
    attachments: &[(String, serde_json::Value)],
) -> Result<()> {
    let metrics = record.map(Record::flat_metrics).unwrap_or_default();
    let state = optimizer.state()?;
    let variables = parameters.variables().into_iter();
    let tensors = variables
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    let none = BTreeMap::new();
    checkpoints.save(position.step, position.epoch, &metrics, position, |files| {
        files.tensors(MODEL, &tensors, &none)?;
        if let Some(state) = &state {
            files.tensors(OPTIMIZER, state, &none)?;
        }
        attachments
            .iter()
            .try_for_each(|(name, value)| files.json(name, value))
    })
}

/// Puts model and optimiser into the state of a checkpoint and says where it stands.
pub(super) fn restore(
    checkpoint: &Checkpoint,
    expected: &Position,
    parameters: &Parameters,
    optimizer: &mut dyn Optimizer,
) -> Result<Position> {
    let position: Position = checkpoint.state()?;
    let pairs = [
        ("seed", position.seed.to_string(), expected.seed.to_string()),
        (
            "number of batches in an epoch",
            position.batches_per_epoch.to_string(),
            expected.batches_per_epoch.to_string(),
        ),
        (
            "optimizer",
            position.optimizer.clone(),
            expected.optimizer.clone(),
        ),
    ];
    for (what, saved, own) in pairs {
        if saved != own {
            let path = checkpoint.path().to_owned();
            return Err(Error::Resume {
                path,
                what,
                saved,
                own,
            });
        }
    }
    if position.schedule != expected.schedule {
        log::warn!(
            "resuming with another schedule: {} instead of {}",
            expected.schedule,
            position.schedule
        );
    }
    let tensors = checkpoint.tensors(MODEL, parameters.device())?;
    let tensors: HashMap<_, _> = tensors.into_iter().collect();
    let report = parameters.assign(&tensors)?;
    if !report.is_exact() {
        let path = checkpoint.path().to_owned();
        let saved = report.to_string();
        return Err(Error::Resume {
            path,
            what: "set of parameters",
            saved,
            own: "the model's".into(),
        });
    }
    match optimizer.state()? {
        Some(_) => {
            optimizer.restore(&checkpoint.tensors(OPTIMIZER, parameters.device())?)?;
        }
        None => log::warn!(
            "{} does not show its state and starts anew",
            optimizer.describe()
        ),
    }
    Ok(position)
}
