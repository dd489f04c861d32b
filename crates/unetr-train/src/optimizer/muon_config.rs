use std::fmt;

use serde::{Deserialize, Serialize};

use super::AdamConfig;
use crate::Result;
use crate::check::{check, check_not_negative, check_part};

/// The settings of [`Muon`](crate::Muon).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuonConfig {
    /// What remains of the mean gradient of a matrix at an update; 0.95 by default.
    pub momentum: f64,
    /// Iterations that make an update orthogonal; 5 by default.
    pub iterations: usize,
    /// `beta1` of Adam for what is no matrix; 0.9 by default.
    pub beta1: f64,
    /// `beta2` of Adam for what is no matrix; 0.999 by default.
    pub beta2: f64,
    /// `eps` of Adam for what is no matrix; 1e-8 by default.
    pub eps: f64,
    /// Decoupled weight decay of both; 0.01 by default.
    pub weight_decay: f64,
}

impl Default for MuonConfig {
    fn default() -> Self {
        let AdamConfig {
            beta1, beta2, eps, ..
        } = AdamConfig::default();
        Self {
            momentum: 0.95,
            iterations: 5,
            beta1,
            beta2,
            eps,
            weight_decay: 0.01,
        }
    }
}

impl MuonConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When one is out of range.
    pub fn validate(&self) -> Result<()> {
        check_part("the momentum of Muon", self.momentum)?;
        let count = self.iterations;
        check(
            "iterations of Muon",
            &count,
            (1..=20).contains(&count),
            "1 to 20",
        )?;
        check_not_negative("the weight decay of Muon", self.weight_decay)?;
        self.adam().validate()
    }

    /// Adam for what is no matrix.
    pub(super) fn adam(self) -> AdamConfig {
        AdamConfig {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
        }
    }
}

impl fmt::Display for MuonConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            momentum,
            iterations,
            ..
        } = self;
        let adam = self.adam();
        write!(
            f,
            "Muon(momentum {momentum}, {iterations} iterations) beside {adam}"
        )
    }
}
