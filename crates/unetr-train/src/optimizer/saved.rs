use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use crate::{Error, Result};

/// The state of an optimiser on its way back from a checkpoint: all of it is checked before any of it is set.
pub(super) struct Saved {
    optimizer: &'static str,
    tensors: BTreeMap<String, Tensor>,
}

impl Saved {
    pub(super) fn new(optimizer: &'static str, tensors: &BTreeMap<String, Tensor>) -> Self {
        Self {
            optimizer,
            tensors: tensors.clone(),
        }
    }

    /// What a variable of a parameter shall be: the tensor `kind.name`, with the variable's type and device.
    pub(super) fn take(&mut self, kind: &str, name: &str, variable: &Var) -> Result<Tensor> {
        let saved = self.tensors.remove(&format!("{kind}.{name}"));
        let saved = saved.ok_or_else(|| self.mismatch(format!("no {kind} of {name}")))?;
        if saved.dims() != variable.dims() {
            let (found, own) = (saved.dims(), variable.dims());
            return Err(self.mismatch(format!("{name} of shape {found:?} instead of {own:?}")));
        }
        let saved = saved.to_dtype(variable.dtype())?;
        Ok(saved.to_device(variable.device())?)
    }

    /// What has not been taken.
    pub(super) fn rest(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The error that names what was found.
    pub(super) fn mismatch(&self, found: String) -> Error {
        Error::OptimizerState {
            optimizer: self.optimizer,
            found,
        }
    }
}
