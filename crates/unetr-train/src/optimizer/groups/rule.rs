use std::fmt;

use serde::{Deserialize, Serialize};

use super::pattern;
use crate::{Error, Result};

/// What holds for the parameters whose names match a pattern; what it leaves open stays as it is.
///
/// # Examples
/// ```
/// use unetr_train::GroupRule;
///
/// let rule = GroupRule::new("vit.*").lr_factor(0.1).weight_decay(0.05);
/// let data = r#"{"pattern": "vit.*", "lr_factor": 0.1, "weight_decay": 0.05}"#;
/// assert_eq!(serde_json::from_str::<GroupRule>(data)?, rule);
/// assert_eq!(rule.to_string(), "vit.*: learning rate × 0.1, weight decay 0.05");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRule {
    /// Parameter names: `encoder1.layer.conv1.conv.weight`, or `vit.*`, `*.bias`, where `*` stands
    /// for any letters, dots too.
    pub pattern: String,
    /// What the learning rate is multiplied by; left open by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr_factor: Option<f64>,
    /// The weight decay, instead of the optimiser's; left open by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether the parameters stay as they are; left open by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<bool>,
}

/// Whether a parameter is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Training {
    /// By every step.
    Trained,
    /// Never, and the optimiser holds no state of it.
    Frozen,
}

/// What holds for one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParameterSettings {
    /// What the learning rate is multiplied by.
    pub lr_factor: f64,
    /// Its weight decay.
    pub weight_decay: f64,
    /// Whether it is updated.
    pub training: Training,
}

impl GroupRule {
    /// A rule that says nothing yet.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            lr_factor: None,
            weight_decay: None,
            freeze: None,
        }
    }

    /// Multiplies the learning rate.
    #[must_use]
    pub fn lr_factor(mut self, factor: f64) -> Self {
        self.lr_factor = Some(factor);
        self
    }

    /// Sets the weight decay.
    #[must_use]
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.weight_decay = Some(decay);
        self
    }

    /// Keeps the parameters as they are.
    #[must_use]
    pub fn frozen(mut self) -> Self {
        self.freeze = Some(true);
        self
    }

    /// Trains the parameters, although an earlier rule froze them.
    #[must_use]
    pub fn trained(mut self) -> Self {
        self.freeze = Some(false);
        self
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        pattern::matches(&self.pattern, name)
    }

    pub(super) fn apply(&self, settings: &mut ParameterSettings) {
        if let Some(factor) = self.lr_factor {
            settings.lr_factor = factor;
        }
        if let Some(decay) = self.weight_decay {
            settings.weight_decay = decay;
        }
        if let Some(freeze) = self.freeze {
            settings.training = if freeze {
                Training::Frozen
            } else {
                Training::Trained
            };
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |setting: &str, found: String, expected| {
            let what = format!("{setting} of the rule for {:?}", self.pattern);
            Err(Error::Setting {
                what,
                found,
                expected,
            })
        };
        match (self.lr_factor, self.weight_decay, self.freeze) {
            (Some(factor), ..) if !(factor > 0. && factor.is_finite()) => refuse(
                "lr_factor",
                factor.to_string(),
                "a finite number above 0; freeze keeps parameters as they are",
            ),
            (_, Some(decay), _) if !(decay >= 0. && decay.is_finite()) => refuse(
                "weight_decay",
                decay.to_string(),
                "a finite number of at least 0",
            ),
            (None, None, None) => refuse(
                "every setting",
                "left open".to_owned(),
                "lr_factor, weight_decay or freeze",
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for GroupRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = [
            self.lr_factor
                .map(|factor| format!("learning rate × {factor}")),
            self.weight_decay
                .map(|decay| format!("weight decay {decay}")),
            self.freeze
                .map(|freeze| if freeze { "frozen" } else { "trained" }.to_owned()),
        ];
        let settings: Vec<_> = settings.into_iter().flatten().collect();
        write!(f, "{}: {}", self.pattern, settings.join(", "))
    }
}
