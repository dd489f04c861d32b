use std::collections::{BTreeMap, HashMap};

use candle_core::Tensor;
use unetr_model::Parameters;

use crate::{Optimizer, Result};

/// Parameters and optimiser as they were.
pub(super) struct Snapshot {
    parameters: HashMap<String, Tensor>,
    optimizer: Option<BTreeMap<String, Tensor>>,
}

impl Snapshot {
    pub(super) fn take(parameters: &Parameters, optimizer: &dyn Optimizer) -> Result<Self> {
        let copy = |(name, tensor): (String, Tensor)| -> Result<_> { Ok((name, tensor.copy()?)) };
        let variables = parameters.variables().into_iter();
        let variables = variables.map(|(name, var)| (name, var.as_detached_tensor()));
        // A state shares its memory with the optimiser.
        let state = optimizer.state()?;
        let state = state.map(|state| state.into_iter().map(copy).collect::<Result<_>>());
        Ok(Self {
            parameters: variables.map(copy).collect::<Result<_>>()?,
            optimizer: state.transpose()?,
        })
    }

    pub(super) fn restore(
        &self,
        parameters: &Parameters,
        optimizer: &mut dyn Optimizer,
    ) -> Result<()> {
        parameters.assign(&self.parameters)?;
        match &self.optimizer {
            Some(state) => optimizer.restore(state),
            None => {
                log::warn!(
                    "{} does not show its state, which has seen the search for a learning rate; \
                     train with a new one",
                    optimizer.describe()
                );
                Ok(())
            }
        }
    }
}
