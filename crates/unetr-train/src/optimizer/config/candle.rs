use candle_nn::optim::{AdamW, ParamsAdamW};
use candle_optimisers::adam::{Adam, ParamsAdam};
use serde::{Deserialize, Serialize};

use super::DecayKind;
use super::setting::{ExternalConfig, Setting, external};
use crate::optimizer::external::Group;
use crate::{Optimizer, Result};

/// The settings of candle-optimisers' Adam: for an L2 weight decay, or AMSGrad (Reddi et al. 2018,
/// <https://openreview.net/forum?id=ryQu7f-RZ>). [`Adam`](crate::Adam) is faster and can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CandleAdamConfig {
    /// Decay of the mean of the gradients; 0.9 by default.
    pub beta1: f64,
    /// Decay of the mean of their squares; 0.999 by default.
    pub beta2: f64,
    /// Added to the root of the mean square; 1e-8 by default.
    pub eps: f64,
    /// Whether the mean of the squares never falls; it may by default.
    pub amsgrad: bool,
    /// Weight decay; 0 by default.
    pub weight_decay: f64,
    /// How it comes in; `l2` by default.
    pub decay: DecayKind,
}

impl Default for CandleAdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            amsgrad: false,
            weight_decay: 0.,
            decay: DecayKind::L2,
        }
    }
}

impl ExternalConfig for CandleAdamConfig {
    fn name(&self) -> &'static str {
        "candle-optimisers Adam"
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::kept("beta1", self.beta1),
            Setting::kept("beta2", self.beta2),
            Setting::not_negative("eps", self.eps),
            Setting::word("amsgrad", self.amsgrad),
            Setting::not_negative("weight_decay", self.weight_decay),
            Setting::word("decay", self.decay),
        ]
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn optimizer(&self, description: String, groups: Vec<Group>) -> Result<Box<dyn Optimizer>> {
        external::<Adam>(description, groups, |weight_decay| ParamsAdam {
            lr: 0.,
            beta_1: self.beta1,
            beta_2: self.beta2,
            eps: self.eps,
            amsgrad: self.amsgrad,
            weight_decay: self.decay.of(weight_decay),
        })
    }
}

/// The settings of `candle_nn::AdamW`, to compare with; [`Adam`](crate::Adam) is faster and can be
/// resumed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CandleAdamWConfig {
    /// Decay of the mean of the gradients; 0.9 by default.
    pub beta1: f64,
    /// Decay of the mean of their squares; 0.999 by default.
    pub beta2: f64,
    /// Added to the root of the mean square; 1e-8 by default.
    pub eps: f64,
    /// Decoupled weight decay; 0.01 by default.
    pub weight_decay: f64,
}

impl Default for CandleAdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
        }
    }
}

impl ExternalConfig for CandleAdamWConfig {
    fn name(&self) -> &'static str {
        "candle-nn AdamW"
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::kept("beta1", self.beta1),
            Setting::kept("beta2", self.beta2),
            Setting::not_negative("eps", self.eps),
            Setting::not_negative("weight_decay", self.weight_decay),
        ]
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn optimizer(&self, description: String, groups: Vec<Group>) -> Result<Box<dyn Optimizer>> {
        external::<AdamW>(description, groups, |weight_decay| ParamsAdamW {
            lr: 0.,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay,
        })
    }
}
