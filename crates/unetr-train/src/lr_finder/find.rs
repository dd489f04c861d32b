use candle_core::DType;
use unetr_data::DataLoader;
use unetr_model::{Mode, Parameters, SegmentationModel, with_precision};

use super::snapshot::Snapshot;
use super::{LrFinderConfig, LrSweep, SweepEnd};
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
        let seed = config.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mode = Mode::Train { seed };
        let logits = with_precision(config.precision, || model.forward(&batch.images, mode))?;
        let value = loss.compute(&logits, &batch.masks)?.total;
        // host sync: reads the loss
        let found = value.to_dtype(DType::F64)?.to_scalar()?;
        let lr = config.lr(step);
        if sweep.push(lr, found) == SweepEnd::Diverged {
            break;
        }
        optimizer.minimise(&value, lr)?;
    }
    Ok(sweep)
}
