use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::{Optimizer, ParameterGroups, Training};
use crate::{Error, Result};

/// Any optimiser of `candle-optimisers` or `candle-nn`.
///
/// They keep their state to themselves, so that a resumed run begins with a fresh one.
/// [`OptimizerConfig`](crate::OptimizerConfig) makes those of both crates by name.
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
    /// One for each group of parameters, with the factor of its learning rate.
    optimizers: Vec<(f64, O)>,
}

impl<O: candle_nn::Optimizer> External<O> {
    /// Takes an optimiser that already holds its variables.
    pub fn new(name: impl Into<String>, optimizer: O) -> Self {
        Self {
            name: name.into(),
            optimizers: vec![(1., optimizer)],
        }
    }

    /// An optimiser whose parameters are in groups: `config` makes its settings from a group's weight
    /// decay.
    pub(super) fn with_groups(
        name: String,
        groups: Vec<Group>,
        config: impl Fn(f64) -> O::Config,
    ) -> Result<Self> {
        let optimizers = groups.into_iter().map(|group| {
            let optimizer = O::new(group.variables, config(group.weight_decay))?;
            Ok((group.lr_factor, optimizer))
        });
        let optimizers = optimizers.collect::<Result<_>>()?;
        Ok(Self { name, optimizers })
    }
}

/// Parameters with the same settings.
pub(super) struct Group {
    lr_factor: f64,
    weight_decay: f64,
    variables: Vec<Var>,
}

impl Group {
    /// The parameters that are trained, by their settings.
    pub(super) fn split(
        parameters: Vec<(String, Var)>,
        groups: &ParameterGroups,
        weight_decay: f64,
    ) -> Result<Vec<Self>> {
        let settings = groups.settings(&parameters, weight_decay)?;
        let mut split: Vec<Self> = Vec::new();
        for ((_, var), settings) in parameters.into_iter().zip(settings) {
            let (lr_factor, weight_decay) = (settings.lr_factor, settings.weight_decay);
            let same = |group: &&mut Self| {
                (group.lr_factor, group.weight_decay) == (lr_factor, weight_decay)
            };
            match (settings.training, split.iter_mut().find(same)) {
                (Training::Frozen, _) => {}
                (Training::Trained, Some(group)) => group.variables.push(var),
                (Training::Trained, None) => split.push(Self {
                    lr_factor,
                    weight_decay,
                    variables: vec![var],
                }),
            }
        }
        Ok(split)
    }
}

impl<O: candle_nn::Optimizer> Optimizer for External<O> {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        for (factor, optimizer) in &mut self.optimizers {
            optimizer.set_learning_rate(learning_rate * *factor);
            optimizer.step(gradients)?;
        }
        Ok(())
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
