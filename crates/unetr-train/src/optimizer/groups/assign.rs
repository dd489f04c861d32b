use std::fmt;

use candle_core::Var;
use serde::{Deserialize, Serialize};

use super::pattern;
use super::rule::{GroupRule, ParameterSettings, Training};
use crate::check::check;
use crate::{Error, Result};

/// Rules by parameter name, and a learning rate that falls from layer to layer.
///
/// Of the rules that match a parameter, the last one that sets something wins, setting by setting.
/// Parameters that no rule matches are as they would be without groups.
///
/// # Examples
/// Fine-tuning a pretrained encoder: later layers of the transformer learn faster than earlier
/// ones, and the embedding of patches not at all.
/// ```
/// use unetr_train::{GroupRule, ParameterGroups};
///
/// let groups = ParameterGroups::default()
///     .layer_decay(0.75)
///     .rule(GroupRule::new("vit.patch_embedding.*").frozen());
/// let data = r#"{
///     "layer_decay": 0.75,
///     "rules": [{"pattern": "vit.patch_embedding.*", "freeze": true}]
/// }"#;
/// assert_eq!(serde_json::from_str::<ParameterGroups>(data)?, groups);
/// assert_eq!(groups.to_string(), "layer decay 0.75; vit.patch_embedding.*: frozen");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParameterGroups {
    /// The rules, in the order in which they apply; none by default.
    pub rules: Vec<GroupRule>,
    /// The part of its learning rate that a layer of the transformer leaves to the one before it:
    /// block `i` of `n` is multiplied by `decay^(n - i)`, the embeddings by `decay^(n + 1)`, and all
    /// else is not, as in BEiT (<https://arxiv.org/abs/2106.08254>, appendix H) and MAE
    /// (<https://arxiv.org/abs/2111.06377>, table 9). The factor of a rule comes on top. None by
    /// default.
    pub layer_decay: Option<f64>,
    /// What weight decay acts on; on matrices by default.
    pub decay_on: DecayOn,
}

/// What weight decay acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecayOn {
    /// Parameters of two or more dimensions other than position embeddings, as timm decides it
    /// for its vision transformers (`param_groups_weight_decay`, `VisionTransformer.no_weight_decay`,
    /// <https://github.com/huggingface/pytorch-image-models>).
    #[default]
    Matrices,
    /// All parameters, as PyTorch does without groups.
    Everything,
}

impl DecayOn {
    fn includes(self, name: &str, rank: usize) -> bool {
        match self {
            Self::Matrices => rank >= 2 && !name.ends_with("position_embeddings"),
            Self::Everything => true,
        }
    }
}

impl ParameterGroups {
    /// Adds a rule, which wins over those before it.
    #[must_use]
    pub fn rule(mut self, rule: GroupRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Lets the learning rate fall from layer to layer of the transformer.
    #[must_use]
    pub fn layer_decay(mut self, decay: f64) -> Self {
        self.layer_decay = Some(decay);
        self
    }

    /// Says what weight decay acts on.
    #[must_use]
    pub fn decay_on(mut self, decay_on: DecayOn) -> Self {
        self.decay_on = decay_on;
        self
    }

    /// Whether the rules freeze the parameter of a name: what `Parameters::freeze` of `unetr-model` asks, so that no
    /// gradient is computed in vain.
    ///
    /// # Examples
    /// ```
    /// use unetr_train::{GroupRule, ParameterGroups};
    ///
    /// let groups = ParameterGroups::default()
    ///     .rule(GroupRule::new("vit.*").frozen())
    ///     .rule(GroupRule::new("vit.norm.*").trained());
    /// assert!(groups.freezes("vit.blocks.0.norm1.bias"));
    /// assert!(!groups.freezes("vit.norm.bias") && !groups.freezes("out.conv.conv.bias"));
    /// ```
    pub fn freezes(&self, name: &str) -> bool {
        let rules = self.rules.iter().rev().filter(|rule| rule.matches(name));
        rules.filter_map(|rule| rule.freeze).next() == Some(true)
    }

    /// Checks the numbers; names are checked by [`settings`](Self::settings).
    ///
    /// # Errors
    /// When a number is out of range or a rule sets nothing.
    pub fn validate(&self) -> Result<()> {
        self.rules.iter().try_for_each(GroupRule::validate)?;
        let decay = self.layer_decay.unwrap_or(1.);
        let holds = decay > 0. && decay <= 1.;
        check(
            "the layer decay",
            &decay,
            holds,
            "more than 0 and at most 1",
        )
    }

    /// What holds for each parameter, in their order, with an optimiser of that weight decay.
    ///
    /// # Errors
    /// When a number is out of range, when a pattern matches nothing, when there is a layer decay but
    /// no `vit.blocks.*`, or when nothing is left to train.
    pub fn settings(
        &self,
        parameters: &[(String, Var)],
        weight_decay: f64,
    ) -> Result<Vec<ParameterSettings>> {
        self.validate()?;
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        self.check_patterns(&names)?;
        let layers = self.layers(&names)?;
        let settings = parameters.iter().map(|(name, var)| {
            let mut settings = ParameterSettings {
                lr_factor: 1.,
                weight_decay,
                training: Training::Trained,
            };
            let rules = self.rules.iter().filter(|rule| rule.matches(name));
            rules.for_each(|rule| rule.apply(&mut settings));
            if let Some(layers) = &layers {
                settings.lr_factor *= layers.factor(name);
            }
            if !self.decay_on.includes(name, var.rank()) {
                settings.weight_decay = 0.;
            }
            settings
        });
        let settings: Vec<_> = settings.collect();
        let frozen = |settings: &ParameterSettings| settings.training == Training::Frozen;
        if !settings.is_empty() && settings.iter().all(frozen) {
            return Err(Error::Setting {
                what: "the number of parameters to train".to_owned(),
                found: format!("0, all {} are frozen", settings.len()),
                expected: "at least 1; freeze fewer",
            });
        }
        Ok(settings)
    }

    fn check_patterns(&self, names: &[&str]) -> Result<()> {
        let idle = |rule: &&GroupRule| !names.iter().any(|name| rule.matches(name));
        match self.rules.iter().find(idle) {
            Some(rule) => Err(Error::Pattern {
                pattern: rule.pattern.clone(),
                parameters: names.len(),
                near: pattern::near(&rule.pattern, names).join(", "),
            }),
            None => Ok(()),
        }
    }

    fn layers(&self, names: &[&str]) -> Result<Option<Layers>> {
        let Some(decay) = self.layer_decay else {
            return Ok(None);
        };
        match names.iter().filter_map(|name| block(name)).max() {
            Some(last) => Ok(Some(Layers {
                decay,
                blocks: last + 1,
            })),
            None => Err(Error::Setting {
                what: "the number of parameters with a layer decay".to_owned(),
                found: "0".to_owned(),
                expected: "names such as vit.blocks.0.mlp.linear1.weight, or no layer decay",
            }),
        }
    }
}

/// The learning rates of a transformer's layers.
struct Layers {
    decay: f64,
    blocks: i32,
}

impl Layers {
    fn factor(&self, name: &str) -> f64 {
        let steps = match (name.strip_prefix("vit."), block(name)) {
            (_, Some(block)) => self.blocks - block,
            // Only embeddings come before the blocks; the norm comes after them.
            (Some(rest), None) if !rest.starts_with("norm.") => self.blocks + 1,
            _ => 0,
        };
        self.decay.powi(steps)
    }
}

/// The transformer's block that a parameter belongs to, counted from 0.
fn block(name: &str) -> Option<i32> {
    let rest = name.strip_prefix("vit.blocks.")?;
    rest.split('.').next()?.parse().ok()
}

impl fmt::Display for ParameterGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.layer_decay.map(|decay| format!("layer decay {decay}"));
        let decay = match self.decay_on {
            DecayOn::Matrices => None,
            DecayOn::Everything => Some("weight decay on everything".to_owned()),
        };
        let rules = self.rules.iter().map(ToString::to_string);
        let parts: Vec<_> = layers.into_iter().chain(decay).chain(rules).collect();
        match parts.as_slice() {
            [] => f.write_str("all parameters alike"),
            parts => f.write_str(&parts.join("; ")),
        }
    }
}

/// An optimiser with its groups, for logs and the check of a resumed run.
pub(in crate::optimizer) fn describe(
    optimizer: &impl fmt::Display,
    groups: &ParameterGroups,
) -> String {
    // Without groups as it was before there were any: checkpoints hold it.
    if *groups == ParameterGroups::default() {
        return optimizer.to_string();
    }
    format!("{optimizer} with {groups}")
}
