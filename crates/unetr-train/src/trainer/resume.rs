use std::collections::{BTreeMap, HashMap};

use candle_core::Tensor;
use unetr_model::Parameters;

use super::ema::Ema;
use crate::checkpoint::TensorFiles;
use crate::{Checkpoint, Error, Optimizer, Result};

/// The parameters to predict with: with a moving average, the averages.
pub(super) const MODEL: &str = "model.safetensors";
/// The parameters to train on with, where they are not those of [`MODEL`].
pub(super) const TRAINING: &str = "training.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// Copies of all tensors that a resumed run needs, in the memory of the processor.
pub(super) fn copies(
    parameters: &Parameters,
    ema: Option<&Ema>,
    optimizer: &dyn Optimizer,
) -> Result<TensorFiles> {
    let copy = |tensor: &Tensor| match tensor.device().is_cpu() {
        true => tensor.copy(),
        // host sync: reads the tensor
        false => tensor.to_device(&candle_core::Device::Cpu),
    };
    let mut model = BTreeMap::new();
    for (name, var) in parameters.variables() {
        model.insert(name, copy(&var.as_detached_tensor())?);
    }
    let mut files = Vec::new();
    if let Some(ema) = ema {
        let mut averages = model.clone();
        for (name, average) in ema.averages() {
            averages.insert(name.to_owned(), copy(&average)?);
        }
        files.push((TRAINING, std::mem::replace(&mut model, averages)));
    }
    files.push((MODEL, model));
    if let Some(state) = optimizer.state()? {
        let state = state.into_iter();
        let state = state.map(|(name, tensor)| Ok((name, copy(&tensor)?)));
        files.push((OPTIMIZER, state.collect::<Result<_>>()?));
    }
    Ok(files)
}

/// Puts parameters, their averages and optimiser into the state of a checkpoint.
pub(super) fn restore(
    checkpoint: &Checkpoint,
    parameters: &Parameters,
    ema: Option<&Ema>,
    optimizer: &mut dyn Optimizer,
) -> Result<()> {
    let device = parameters.device();
    let trained = match checkpoint.contains(TRAINING) {
        true => TRAINING,
        false => MODEL,
    };
    let tensors: HashMap<_, _> = checkpoint.tensors(trained, device)?.into_iter().collect();
    let report = parameters.assign(&tensors)?;
    if !report.is_exact() {
        let differences = vec![format!("the parameters are not the model's: {report}")];
        let path = checkpoint.path().to_owned();
        return Err(Error::Resume { path, differences });
    }
    if let Some(ema) = ema {
        ema.restore(&checkpoint.tensors(MODEL, device)?)?;
    }
    match optimizer.state()? {
        Some(_) => optimizer.restore(&checkpoint.tensors(OPTIMIZER, device)?),
        None => Ok(()),
    }
}
