use super::{Canvas, PixelType, Probability, Step, Transform};
use crate::{Error, Result, SampleRng, rng::unit};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "OneOf";

/// Applies one of several transforms, drawn by their weights.
///
/// # Examples
/// ```
/// use unetr_data::{HorizontalFlip, OneOf, Probability, VerticalFlip};
///
/// let mirror = OneOf::new([
///     (3.0, HorizontalFlip { p: Probability::ALWAYS }.into()),
///     (1.0, VerticalFlip { p: Probability::ALWAYS }.into()),
/// ]);
/// assert_eq!(mirror.to_string(), "OneOf(75 % HorizontalFlip(p 1) | 25 % VerticalFlip(p 1), p 0.5)");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// What may be applied.
    pub choices: Vec<Choice>,
    /// How often one of them is applied at all; 0.5 by default.
    #[serde(default)]
    pub p: Probability,
}

/// A transform that [`OneOf`] may apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// How likely, in proportion to the other weights; 1 by default.
    #[serde(default = "one")]
    pub weight: f64,
    /// The transform. Its own `p` counts once it has been chosen.
    pub step: Step,
}

fn one() -> f64 {
    1.0
}

impl OneOf {
    /// One of these transforms, each with its weight, in half of the samples.
    pub fn new(choices: impl IntoIterator<Item = (f64, Step)>) -> Self {
        let choices = choices.into_iter();
        Self {
            choices: choices
                .map(|(weight, step)| Choice { weight, step })
                .collect(),
            p: Probability::HALF,
        }
    }

    fn total_weight(&self) -> f64 {
        self.choices.iter().map(|choice| choice.weight).sum()
    }

    fn choose(&self, rng: &mut SampleRng) -> Option<&Step> {
        let mut left = unit(rng) * self.total_weight();
        let chosen = self.choices.iter().find(|choice| {
            left -= choice.weight;
            left < 0.0
        });
        // Rounding may leave a rest after the last one.
        chosen.or(self.choices.last()).map(|choice| &choice.step)
    }
}

impl Transform for OneOf {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        match self.choose(rng) {
            Some(step) => step.draw(canvas, rng),
            None => Ok(()),
        }
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        let invalid = |reason: String| Error::InvalidTransform {
            transform: NAME,
            reason,
        };
        if self.choices.is_empty() {
            return Err(invalid("there is no choice; give at least one".into()));
        }
        for choice in &self.choices {
            if !choice.weight.is_finite() || choice.weight <= 0.0 {
                return Err(invalid(format!(
                    "the weight of {} is {}; it must be finite and above 0",
                    choice.step, choice.weight
                )));
            }
            if choice.step.check(pixels)? != pixels {
                return Err(invalid(format!(
                    "{} makes floats in some samples only; put it after OneOf",
                    choice.step
                )));
            }
        }
        Ok(pixels)
    }
}

impl fmt::Display for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total_weight();
        write!(f, "{NAME}(")?;
        for (i, choice) in self.choices.iter().enumerate() {
            let bar = if i == 0 { "" } else { " | " };
            let percent = 100.0 * choice.weight / total;
            write!(f, "{bar}{percent:.0} % {}", choice.step)?;
        }
        write!(f, ", p {})", self.p)
    }
}
