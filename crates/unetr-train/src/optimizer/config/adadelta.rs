use candle_optimisers::adadelta::{Adadelta, ParamsAdaDelta};
use serde::{Deserialize, Serialize};

use super::DecayKind;
use super::setting::{ExternalConfig, Setting, external};
use crate::optimizer::external::Group;
use crate::{Optimizer, Result};

/// The settings of Adadelta (Zeiler 2012, <https://arxiv.org/abs/1212.5701>), of candle-optimisers. Its
/// learning rate is a factor, 1 in the paper.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdadeltaConfig {
    /// Decay of both mean squares; 0.9 by default.
    pub rho: f64,
    /// Added to both mean squares, inside of the roots; 1e-6 by default.
    pub eps: f64,
    /// Weight decay; 0 by default.
    pub weight_decay: f64,
    /// How it comes in; `l2` by default.
    pub decay: DecayKind,
}

impl Default for AdadeltaConfig {
    fn default() -> Self {
        Self {
            rho: 0.9,
            eps: 1e-6,
            weight_decay: 0.,
            decay: DecayKind::L2,
        }
    }
}

impl ExternalConfig for AdadeltaConfig {
    fn name(&self) -> &'static str {
        "Adadelta"
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::kept("rho", self.rho),
            Setting::not_negative("eps", self.eps),
            Setting::not_negative("weight_decay", self.weight_decay),
            Setting::word("decay", self.decay),
        ]
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn optimizer(&self, description: String, groups: Vec<Group>) -> Result<Box<dyn Optimizer>> {
        external::<Adadelta>(description, groups, |weight_decay| ParamsAdaDelta {
            lr: 0.,
            rho: self.rho,
            eps: self.eps,
            weight_decay: self.decay.of(weight_decay),
        })
    }
}
