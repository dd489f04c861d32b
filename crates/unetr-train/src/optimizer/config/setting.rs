use std::fmt;

use candle_core::Var;

use crate::optimizer::External;
use crate::optimizer::external::Group;
use crate::{Error, Optimizer, ParameterGroups, Result};

/// A named setting of an optimiser.
pub(super) struct Setting {
    name: &'static str,
    value: Value,
}

enum Value {
    Number(f64, Range),
    Word(String),
}

#[derive(Clone, Copy)]
enum Range {
    /// Part of a moving average that stays: from 0 to 1, without 1.
    Kept,
    /// From 0 on.
    NotNegative,
}

impl Setting {
    /// The part of a moving average that stays.
    pub(super) fn kept(name: &'static str, value: f64) -> Self {
        let value = Value::Number(value, Range::Kept);
        Self { name, value }
    }

    /// A number from 0 on.
    pub(super) fn not_negative(name: &'static str, value: f64) -> Self {
        let value = Value::Number(value, Range::NotNegative);
        Self { name, value }
    }

    /// One of several ways.
    pub(super) fn word(name: &'static str, value: impl fmt::Display) -> Self {
        let value = Value::Word(value.to_string());
        Self { name, value }
    }

    fn validate(&self, optimizer: &str) -> Result<()> {
        let (allowed, expected, found) = match self.value {
            Value::Number(value, Range::Kept) => (
                (0. ..1.).contains(&value),
                "at least 0 and less than 1",
                value,
            ),
            Value::Number(value, Range::NotNegative) => (
                value >= 0. && value.is_finite(),
                "a finite number of at least 0",
                value,
            ),
            Value::Word(_) => return Ok(()),
        };
        if allowed {
            return Ok(());
        }
        Err(Error::Setting {
            what: format!("{} of {optimizer}", self.name),
            found: found.to_string(),
            expected,
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match &self.value {
            Value::Number(value, _) if *value != 0. && value.abs() < 1e-4 => {
                write!(f, "{name} {value:e}")
            }
            Value::Number(value, _) => write!(f, "{name} {value}"),
            Value::Word(value) => write!(f, "{name} {value}"),
        }
    }
}

/// The settings of an optimiser of another crate.
pub(super) trait ExternalConfig {
    /// What the optimiser is called.
    fn name(&self) -> &'static str;

    /// All settings.
    fn settings(&self) -> Vec<Setting>;

    /// The weight decay of parameters that no rule gives another.
    fn weight_decay(&self) -> f64;

    /// The optimiser, called `description`, of parameters in groups.
    fn optimizer(&self, description: String, groups: Vec<Group>) -> Result<Box<dyn Optimizer>>;

    /// Checks the settings.
    fn validate(&self) -> Result<()> {
        validate_settings(self)
    }
}

/// Checks every setting on its own.
pub(super) fn validate_settings(config: &(impl ExternalConfig + ?Sized)) -> Result<()> {
    let mut settings = config.settings().into_iter();
    settings.try_for_each(|setting| setting.validate(config.name()))
}

impl fmt::Display for dyn ExternalConfig + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<_> = self.settings().iter().map(ToString::to_string).collect();
        write!(f, "{}({})", self.name(), settings.join(", "))
    }
}

/// The optimiser of a description.
pub(super) fn build(
    config: &dyn ExternalConfig,
    description: String,
    parameters: Vec<(String, Var)>,
    groups: &ParameterGroups,
) -> Result<Box<dyn Optimizer>> {
    config.validate()?;
    let groups = Group::split(parameters, groups, config.weight_decay())?;
    config.optimizer(description, groups)
}

/// An optimiser whose settings follow from a group's weight decay.
pub(super) fn external<O: candle_nn::Optimizer + 'static>(
    description: String,
    groups: Vec<Group>,
    config: impl Fn(f64) -> O::Config,
) -> Result<Box<dyn Optimizer>> {
    Ok(Box::new(External::<O>::with_groups(
        description,
        groups,
        config,
    )?))
}
