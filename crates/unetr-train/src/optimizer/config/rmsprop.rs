use candle_optimisers::rmsprop::{ParamsRMSprop, RMSprop};
use serde::{Deserialize, Serialize};

use super::setting::{ExternalConfig, Setting, external};
use crate::optimizer::external::Group;
use crate::{Optimizer, Result};

/// The settings of RMSprop (Hinton 2012,
/// <https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf>), of candle-optimisers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RmsPropConfig {
    /// Decay of the mean square; 0.99 by default.
    pub alpha: f64,
    /// Added to the root of the mean square; 1e-8 by default.
    pub eps: f64,
    /// Decay of the sum of updates; 0, none, by default.
    pub momentum: f64,
    /// Whether the mean is taken off the mean square; it is not by default.
    pub centered: bool,
    /// Weight decay, added to the gradient; 0 by default.
    pub weight_decay: f64,
}

impl Default for RmsPropConfig {
    fn default() -> Self {
        Self {
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.,
            centered: false,
            weight_decay: 0.,
        }
    }
}

impl ExternalConfig for RmsPropConfig {
    fn name(&self) -> &'static str {
        "RMSprop"
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::kept("alpha", self.alpha),
            Setting::not_negative("eps", self.eps),
            Setting::kept("momentum", self.momentum),
            Setting::word("centered", self.centered),
            Setting::not_negative("weight_decay", self.weight_decay),
        ]
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn optimizer(&self, description: String, groups: Vec<Group>) -> Result<Box<dyn Optimizer>> {
        external::<RMSprop>(description, groups, |weight_decay| ParamsRMSprop {
            lr: 0.,
            alpha: self.alpha,
            eps: self.eps,
            momentum: (self.momentum > 0.).then_some(self.momentum),
            centered: self.centered,
            weight_decay: (weight_decay > 0.).then_some(weight_decay),
        })
    }
}
