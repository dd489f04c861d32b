use serde::{Deserialize, Serialize};

/// What a loss is multiplied with before its gradients are computed in f16, and they are divided by
/// after: small ones would be 0 there. It is halved, and the update left out, where a gradient is not
/// finite, and doubled after many updates where all are.
///
/// Source: Micikevicius et al. 2018, section 3.2, <https://arxiv.org/abs/1710.03740>; the numbers are
/// those of `torch.amp.GradScaler`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LossScale {
    pub(super) factor: f64,
    /// Updates since it has changed.
    updates: u64,
}

/// Updates after which the factor grows.
const PATIENCE: u64 = 2000;

/// The least factor, the smallest number of f16.
const LEAST: f64 = 1. / (1 << 24) as f64;

impl Default for LossScale {
    fn default() -> Self {
        Self {
            factor: 65_536.,
            updates: 0,
        }
    }
}

impl LossScale {
    /// Takes note of gradients, and says whether they can be applied.
    pub(super) fn accepts(&mut self, norm: f64) -> bool {
        if !norm.is_finite() {
            *self = Self {
                factor: (self.factor / 2.).max(LEAST),
                updates: 0,
            };
            return false;
        }
        self.updates += 1;
        if self.updates == PATIENCE {
            *self = Self {
                factor: self.factor * 2.,
                updates: 0,
            };
        }
        true
    }
}
