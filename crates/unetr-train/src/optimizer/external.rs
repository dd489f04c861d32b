use std::collections::BTreeMap;

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::Optimizer;
use crate::{Error, Result};

/// Any optimiser of `candle-optimisers` or `candle-nn`.
///
/// They keep their state to themselves, so that a resumed run begins with a fresh one.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Var};
/// use candle_nn::Optimizer as _;
/// use candle_optimisers::nadam::{NAdam, ParamsNAdam};
/// use unetr_train::{External, Optimizer};
///
/// let weight = Var::ones(3, DType::F32, &Device::Cpu)?;
/// let nadam = NAdam::new(vec![weight.clone()], ParamsNAdam::default())?;
/// let mut optimizer = External::new("NAdam", nadam);
/// let loss = weight.sqr()?.sum_all()?;
/// optimizer.step(&loss.backward()?, 0.1)?;
/// assert!(weight.to_vec1::<f32>()?.iter().all(|&w| w < 1.));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct External<O> {
    name: String,
    optimizer: O,
}

impl<O: candle_nn::Optimizer> External<O> {
    /// Takes an optimiser that already holds its variables.
    pub fn new(name: impl Into<String>, optimizer: O) -> Self {
        Self {
            name: name.into(),
            optimizer,
        }
    }
}

impl<O: candle_nn::Optimizer> Optimizer for External<O> {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.optimizer.set_learning_rate(learning_rate);
        Ok(self.optimizer.step(gradients)?)
    }

    fn state(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        Ok(None)
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let found = format!("a state of {} tensors, of another optimizer", state.len());
        Err(Error::OptimizerState {
            optimizer: "an external optimizer",
            found,
        })
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}
