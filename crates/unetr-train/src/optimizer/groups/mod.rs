//! Settings that differ between the parameters of a network: which learn slower, decay or not at all.

mod assign;
mod pattern;
mod rule;

pub(super) use assign::describe;
pub use assign::{DecayOn, ParameterGroups};
pub use rule::{GroupRule, ParameterSettings, Training};
