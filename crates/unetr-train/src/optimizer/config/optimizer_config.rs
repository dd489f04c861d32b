use std::fmt;

use candle_core::Var;
use serde::{Deserialize, Serialize};

use super::setting::{ExternalConfig, build};
use super::{
    AdadeltaConfig, AdagradConfig, AdamaxConfig, CandleAdamConfig, CandleAdamWConfig, NAdamConfig,
    RAdamConfig, RmsPropConfig, SgdConfig,
};
use crate::optimizer::groups::describe;
use crate::{
    Adam, AdamConfig, AdamWConfig, Error, Muon, MuonConfig, Optimizer, ParameterGroups, Result,
};

/// An optimiser by name, with its settings.
///
/// As data it is tagged: `{"kind": "sgd", "momentum": 0.9, "nesterov": true}`. What is left out has
/// its default; the learning rate is the schedule's. `adam` and `adamw` are [`Adam`], `muon` is [`Muon`]:
/// their state is saved with a checkpoint. The others are [`External`](crate::External) and begin with a fresh state
/// when a run is resumed.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Var};
/// use unetr_train::{GroupRule, OptimizerConfig, ParameterGroups};
///
/// let config: OptimizerConfig = serde_json::from_str(r#"{"kind": "nadam", "beta2": 0.99}"#)?;
/// let weight = Var::ones((2, 3), DType::F32, &Device::Cpu)?;
/// let parameters = vec![("out.weight".to_owned(), weight)];
/// let groups = ParameterGroups::default().rule(GroupRule::new("out.*").lr_factor(10.));
/// let optimizer = config.build(parameters, &groups)?;
/// assert_eq!(
///     optimizer.describe(),
///     "NAdam(beta1 0.9, beta2 0.99, eps 1e-8, momentum_decay 0.004, weight_decay 0, decay l2) \
///      with out.*: learning rate × 10"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum OptimizerConfig {
    /// Adam, the tutorial's by default; its weight decay is decoupled.
    Adam(AdamConfig),
    /// Adam with a weight decay of 0.01 by default.
    AdamW(AdamWConfig),
    /// Orthogonal updates of matrices, AdamW for the rest.
    Muon(MuonConfig),
    /// Stochastic gradient descent, with momentum where it is set.
    Sgd(SgdConfig),
    /// Adam with Nesterov's momentum.
    NAdam(NAdamConfig),
    /// Adam with a rectified variance.
    RAdam(RAdamConfig),
    /// Adam with the largest gradient.
    Adamax(AdamaxConfig),
    /// Adagrad.
    Adagrad(AdagradConfig),
    /// Adadelta.
    Adadelta(AdadeltaConfig),
    /// RMSprop.
    RmsProp(RmsPropConfig),
    /// The Adam of candle-optimisers, with L2 decay or AMSGrad.
    #[serde(rename = "candle_adam")]
    CandleAdam(CandleAdamConfig),
    /// The AdamW of candle-nn.
    #[serde(rename = "candle_adamw")]
    CandleAdamW(CandleAdamWConfig),
    /// L-BFGS, which [`validate`](Self::validate) refuses: a step of it evaluates the loss of one and
    /// the same batch many times, and gets nothing but a gradient from a training run.
    Lbfgs,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam(AdamConfig::default())
    }
}

/// What makes an optimiser.
enum Maker<'a> {
    Adam(AdamConfig),
    Muon(MuonConfig),
    Other(&'a dyn ExternalConfig),
    None,
}

impl OptimizerConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When one is out of range, or when the optimiser cannot train by gradients of batches.
    pub fn validate(&self) -> Result<()> {
        match self.maker() {
            Maker::Adam(config) => config.validate(),
            Maker::Muon(config) => config.validate(),
            Maker::Other(config) => config.validate(),
            Maker::None => Err(refuse_lbfgs()),
        }
    }

    /// The optimiser of named parameters, in its initial state.
    ///
    /// # Errors
    /// As [`validate`](Self::validate) and [`ParameterGroups::settings`], or when memory for the state
    /// is missing.
    pub fn build(
        &self,
        parameters: Vec<(String, Var)>,
        groups: &ParameterGroups,
    ) -> Result<Box<dyn Optimizer>> {
        match self.maker() {
            Maker::Adam(config) => Ok(Box::new(Adam::with_groups(parameters, config, groups)?)),
            Maker::Muon(config) => Ok(Box::new(Muon::new(parameters, config, groups)?)),
            Maker::Other(config) => build(config, describe(self, groups), parameters, groups),
            Maker::None => Err(refuse_lbfgs()),
        }
    }

    fn maker(&self) -> Maker<'_> {
        match self {
            Self::Adam(config) => Maker::Adam(*config),
            Self::AdamW(config) => Maker::Adam((*config).into()),
            Self::Muon(config) => Maker::Muon(*config),
            Self::Sgd(config) => Maker::Other(config),
            Self::NAdam(config) => Maker::Other(config),
            Self::RAdam(config) => Maker::Other(config),
            Self::Adamax(config) => Maker::Other(config),
            Self::Adagrad(config) => Maker::Other(config),
            Self::Adadelta(config) => Maker::Other(config),
            Self::RmsProp(config) => Maker::Other(config),
            Self::CandleAdam(config) => Maker::Other(config),
            Self::CandleAdamW(config) => Maker::Other(config),
            Self::Lbfgs => Maker::None,
        }
    }
}

fn refuse_lbfgs() -> Error {
    Error::Setting {
        what: "the optimizer".to_owned(),
        found: "lbfgs, which evaluates the loss of one batch many times in a step".to_owned(),
        expected: "one that needs a gradient alone, such as adamw or sgd",
    }
}

impl fmt::Display for OptimizerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.maker() {
            Maker::Adam(config) => config.fmt(f),
            Maker::Muon(config) => config.fmt(f),
            Maker::Other(config) => config.fmt(f),
            Maker::None => f.write_str("L-BFGS"),
        }
    }
}
