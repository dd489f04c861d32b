//! Optimisers: from gradients to new parameters, with a state that can be saved where the
//! optimiser shows it.

mod adam;
mod adam_config;
mod config;
mod external;
mod groups;
mod muon;
mod muon_config;
mod saved;

use std::collections::BTreeMap;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use unetr_ops::backward;

use crate::Result;

pub use adam::Adam;
pub use adam_config::{AdamConfig, AdamWConfig};
pub use config::{
    AdadeltaConfig, AdagradConfig, AdamaxConfig, CandleAdamConfig, CandleAdamWConfig, DecayKind,
    NAdamConfig, OptimizerConfig, RAdamConfig, RmsPropConfig, SgdConfig,
};
pub use external::External;
pub use groups::{DecayOn, GroupRule, ParameterGroups, ParameterSettings, Training};
pub use muon::Muon;
pub use muon_config::MuonConfig;

/// What changes the parameters of a network by their gradients.
pub trait Optimizer {
    /// Updates every parameter that has a gradient.
    ///
    /// # Errors
    /// When Candle cannot compute the update.
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()>;

    /// [`step`](Self::step) with every gradient times `scale`, which bounds their norm for example.
    ///
    /// # Errors
    /// When Candle cannot compute the update.
    fn step_scaled(
        &mut self,
        mut gradients: GradStore,
        scale: f64,
        learning_rate: f64,
    ) -> Result<()> {
        if scale != 1. {
            for id in gradients.get_ids().copied().collect::<Vec<_>>() {
                if let Some(gradient) = gradients.get_id(id) {
                    let scaled = (gradient * scale)?;
                    gradients.insert_id(id, scaled);
                }
            }
        }
        self.step(&gradients, learning_rate)
    }

    /// Computes the gradients of a loss and updates every parameter that has one; an optimiser that
    /// looks at one parameter at a time may do so during the backward pass, in the memory of one
    /// gradient.
    ///
    /// # Errors
    /// When Candle cannot compute a gradient or the update. Some parameters may have been updated then.
    fn minimise(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        self.step(&backward(loss)?, learning_rate)
    }

    /// The state as named tensors; `None` where the optimiser keeps it to itself, so that a
    /// resumed run begins with a fresh one.
    ///
    /// # Errors
    /// When Candle cannot read the state.
    fn state(&self) -> Result<Option<BTreeMap<String, Tensor>>>;

    /// Takes a state that [`state`](Self::state) has given.
    ///
    /// # Errors
    /// When the state is that of another optimiser or of other parameters.
    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()>;

    /// What it is and how it is set, for logs and checks.
    fn describe(&self) -> String;
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        (**self).step(gradients, learning_rate)
    }

    fn step_scaled(&mut self, gradients: GradStore, scale: f64, learning_rate: f64) -> Result<()> {
        (**self).step_scaled(gradients, scale, learning_rate)
    }

    fn minimise(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        (**self).minimise(loss, learning_rate)
    }

    fn state(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        (**self).state()
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        (**self).restore(state)
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}
