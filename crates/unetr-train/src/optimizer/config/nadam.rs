use candle_optimisers::nadam::{NAdam, ParamsNAdam};
use serde::{Deserialize, Serialize};

use super::DecayKind;
use super::setting::{ExternalConfig, Setting, external};
use crate::optimizer::external::Group;
use crate::{Optimizer, Result};

/// The settings of NAdam, Adam with the momentum of Nesterov (Dozat 2016,
/// <https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>), of candle-optimisers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NAdamConfig {
    /// Decay of the mean of the gradients; 0.9 by default.
    pub beta1: f64,
    /// Decay of the mean of their squares; 0.999 by default.
    pub beta2: f64,
    /// Added to the root of the mean square; 1e-8 by default.
    pub eps: f64,
    /// How fast the momentum reaches `beta1`; 0.004 by default.
    pub momentum_decay: f64,
    /// Weight decay; 0 by default.
    pub weight_decay: f64,
    /// How it comes in; `l2` by default.
    pub decay: DecayKind,
}

impl Default for NAdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            momentum_decay: 0.004,
            weight_decay: 0.,
            decay: DecayKind::L2,
        }
    }
}

impl ExternalConfig for NAdamConfig {
    fn name(&self) -> &'static str {
        "NAdam"
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::kept("beta1", self.beta1),
            Setting::kept("beta2", self.beta2),
            Setting::not_negative("eps", self.eps),
            Setting::not_negative("momentum_decay", self.momentum_decay),
            Setting::not_negative("weight_decay", self.weight_decay),
            Setting::word("decay", self.decay),
        ]
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn optimizer(&self, description: String, groups: Vec<Group>) -> Result<Box<dyn Optimizer>> {
        external::<NAdam>(description, groups, |weight_decay| ParamsNAdam {
            lr: 0.,
            beta_1: self.beta1,
            beta_2: self.beta2,
            eps: self.eps,
            momentum_decay: self.momentum_decay,
            weight_decay: self.decay.of(weight_decay),
        })
    }
}
