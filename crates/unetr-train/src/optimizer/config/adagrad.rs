use candle_optimisers::adagrad::{Adagrad, ParamsAdaGrad};
use serde::{Deserialize, Serialize};

use super::DecayKind;
use super::setting::{ExternalConfig, Setting, external};
use crate::optimizer::external::Group;
use crate::{Optimizer, Result};

/// The settings of Adagrad (Duchi et al. 2011, <https://jmlr.org/papers/v12/duchi11a.html>), of
/// candle-optimisers.
///
/// Its sum of squares starts at 0: candle-optimisers 0.10 does not look at an initial value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdagradConfig {
    /// Divides the learning rate by `1 + lr_decay * step`; 0 by default.
    pub lr_decay: f64,
    /// Added to the root of the sum of squares; 1e-10 by default.
    pub eps: f64,
    /// Weight decay; 0 by default.
    pub weight_decay: f64,
    /// How it comes in; `l2` by default.
    pub decay: DecayKind,
}

impl Default for AdagradConfig {
    fn default() -> Self {
        Self {
            lr_decay: 0.,
            eps: 1e-10,
            weight_decay: 0.,
            decay: DecayKind::L2,
        }
    }
}

impl ExternalConfig for AdagradConfig {
    fn name(&self) -> &'static str {
        "Adagrad"
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::not_negative("lr_decay", self.lr_decay),
            Setting::not_negative("eps", self.eps),
            Setting::not_negative("weight_decay", self.weight_decay),
            Setting::word("decay", self.decay),
        ]
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn optimizer(&self, description: String, groups: Vec<Group>) -> Result<Box<dyn Optimizer>> {
        external::<Adagrad>(description, groups, |weight_decay| ParamsAdaGrad {
            lr: 0.,
            lr_decay: self.lr_decay,
            eps: self.eps,
            initial_acc: 0.,
            weight_decay: self.decay.of(weight_decay),
        })
    }
}
