use unetr_data::DataLoader;
use unetr_model::{Parameters, SegmentationModel};

use super::snapshot::Snapshot;
use super::{LrFinderConfig, LrSweep, SweepEnd};
use crate::trainer::{Pass, scalar, train_mode};
use crate::{Loss, Optimizer, Result};

/// Trains with a learning rate that rises exponentially, and says how the loss went.
///
/// Parameters, running statistics and the state of the optimiser are afterwards what they were, bit for
/// bit, also after an error; an optimiser that keeps its state to itself
/// ([`External`](crate::External)) keeps what it saw, and a warning says so.
///
/// # Errors
/// When a setting is out of range, a batch cannot be read, or something cannot be computed.
///
/// # Examples
/// ```no_run
/// # use unetr_data::DataLoader;
/// # use unetr_model::{Parameters, Unetr};
/// use unetr_train::{Adam, AdamConfig, LrFinderConfig, SumLoss, find_learning_rate};
///
/// # fn run(
/// #     model: &Unetr, parameters: &Parameters, train: &DataLoader
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut adam = Adam::new(parameters.trainable(), AdamConfig::default())?;
/// let config = LrFinderConfig::default();
/// let loss = SumLoss::tutorial();
/// let sweep = find_learning_rate(model, parameters, &loss, &mut adam, train, &config)?;
/// println!("the loss falls most steeply at {:?}", sweep.suggestion());
/// # Ok(())
/// # }
/// ```
pub fn find_learning_rate(
    model: &dyn SegmentationModel,
    parameters: &Parameters,
    loss: &dyn Loss,
    optimizer: &mut dyn Optimizer,
    train: &DataLoader,
    config: &LrFinderConfig,
) -> Result<LrSweep> {
    config.validate()?;
    let before = Snapshot::take(parameters, optimizer)?;
    let swept = sweep(model, parameters, loss, optimizer, train, config);
    before.restore(parameters, optimizer)?;
    swept
}

fn sweep(
    model: &dyn SegmentationModel,
    parameters: &Parameters,
    loss: &dyn Loss,
    optimizer: &mut dyn Optimizer,
    train: &DataLoader,
    config: &LrFinderConfig,
) -> Result<LrSweep> {
    let mut sweep = LrSweep::new(*config);
    let batches = (0..).flat_map(|epoch| train.epoch(epoch));
    for (step, batch) in (0..config.steps).zip(batches) {
        let batch = batch?.to_device(parameters.device())?;
        let pass = Pass {
            mode: train_mode(config.seed, step),
            precision: config.precision,
            auxiliary_weight: config.auxiliary_weight,
        };
        let (graph, value) = pass.forward(model, loss, (&batch.images, &batch.masks))?;
        let lr = config.lr(step);
        // host sync: reads the loss
        if sweep.push(lr, scalar(&value.total)?) == SweepEnd::Diverged {
            break;
        }
        optimizer.minimise(&graph, lr)?;
    }
    Ok(sweep)
}
