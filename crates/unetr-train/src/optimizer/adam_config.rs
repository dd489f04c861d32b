use std::fmt;

use serde::{Deserialize, Serialize};
use unetr_ops::AdamStep;

use crate::Result;
use crate::check::{check_not_negative, check_part};

/// The settings of [`Adam`](crate::Adam); the default is the tutorial's, `optax.adam(schedule, 0.9)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay of the mean of the gradients; 0.9 by default.
    pub beta1: f64,
    /// Decay of the mean of their squares; 0.999 by default.
    pub beta2: f64,
    /// Added to the root of the mean square, outside of the root; 1e-8 by default.
    pub eps: f64,
    /// Decoupled weight decay of AdamW (<https://arxiv.org/abs/1711.05101>), on every parameter of
    /// two or more dimensions but position embeddings (see [`DecayOn`](crate::DecayOn)); 0 by default.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.,
        }
    }
}

impl AdamConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When one is out of range.
    pub fn validate(&self) -> Result<()> {
        check_part("beta1 of Adam", self.beta1)?;
        check_part("beta2 of Adam", self.beta2)?;
        check_not_negative("eps of Adam", self.eps)?;
        check_not_negative("the weight decay of Adam", self.weight_decay)
    }

    pub(super) fn step(self, learning_rate: f64, step: u64) -> AdamStep {
        AdamStep {
            gradient_scale: 1.,
            learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
            step,
        }
    }
}

impl fmt::Display for AdamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            beta1,
            beta2,
            eps,
            weight_decay,
        } = self;
        write!(
            f,
            "Adam(betas {beta1} and {beta2}, eps {eps:e}, weight decay {weight_decay})"
        )
    }
}

/// The settings of AdamW, which is [`Adam`](crate::Adam) with a weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Decay of the mean of the gradients; 0.9 by default.
    pub beta1: f64,
    /// Decay of the mean of their squares; 0.999 by default.
    pub beta2: f64,
    /// Added to the root of the mean square, outside of the root; 1e-8 by default.
    pub eps: f64,
    /// Decoupled weight decay; 0.01 by default, as in PyTorch.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        let AdamConfig {
            beta1, beta2, eps, ..
        } = AdamConfig::default();
        Self {
            beta1,
            beta2,
            eps,
            weight_decay: 0.01,
        }
    }
}

impl From<AdamWConfig> for AdamConfig {
    fn from(config: AdamWConfig) -> Self {
        let AdamWConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
        } = config;
        Self {
            beta1,
            beta2,
            eps,
            weight_decay,
        }
    }
}
