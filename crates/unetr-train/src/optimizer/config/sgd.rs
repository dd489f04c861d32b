use candle_optimisers::Momentum;
use candle_optimisers::esgd::{ParamsSGD, SGD};
use serde::{Deserialize, Serialize};

use super::DecayKind;
use super::setting::{ExternalConfig, Setting, external, validate_settings};
use crate::optimizer::external::Group;
use crate::{Error, Optimizer, Result};

/// The settings of stochastic gradient descent (Sutskever et al. 2013,
/// <https://proceedings.mlr.press/v28/sutskever13.html>), of candle-optimisers. Without momentum and
/// decay it is `candle_nn::SGD`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// The part of the last update in the next; 0, none, by default.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's, which looks ahead; it is not by default.
    pub nesterov: bool,
    /// The part of a gradient that does not go into the momentum; 0 by default.
    pub dampening: f64,
    /// Weight decay; 0 by default.
    pub weight_decay: f64,
    /// How it comes in; `l2` by default.
    pub decay: DecayKind,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self {
            momentum: 0.,
            nesterov: false,
            dampening: 0.,
            weight_decay: 0.,
            decay: DecayKind::L2,
        }
    }
}

impl SgdConfig {
    fn momentum(&self) -> Option<Momentum> {
        match (self.momentum > 0., self.nesterov) {
            (false, _) => None,
            (true, false) => Some(Momentum::Classical(self.momentum)),
            (true, true) => Some(Momentum::Nesterov(self.momentum)),
        }
    }
}

impl ExternalConfig for SgdConfig {
    fn name(&self) -> &'static str {
        "SGD"
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::kept("momentum", self.momentum),
            Setting::word("nesterov", self.nesterov),
            Setting::kept("dampening", self.dampening),
            Setting::not_negative("weight_decay", self.weight_decay),
            Setting::word("decay", self.decay),
        ]
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn optimizer(&self, description: String, groups: Vec<Group>) -> Result<Box<dyn Optimizer>> {
        external::<SGD>(description, groups, |weight_decay| ParamsSGD {
            lr: 0.,
            momentum: self.momentum(),
            dampening: self.dampening,
            weight_decay: self.decay.of(weight_decay),
        })
    }

    fn validate(&self) -> Result<()> {
        validate_settings(self)?;
        if self.nesterov && (self.momentum == 0. || self.dampening > 0.) {
            return Err(Error::Setting {
                what: "nesterov of SGD".to_owned(),
                found: format!(
                    "true with momentum {} and dampening {}",
                    self.momentum, self.dampening
                ),
                expected: "a momentum above 0 and no dampening with it",
            });
        }
        Ok(())
    }
}
