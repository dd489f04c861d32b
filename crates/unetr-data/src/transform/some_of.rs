use super::{Canvas, PixelType, Probability, Step, Transform};
use crate::rng::{below, whole};
use crate::{Error, Result, SampleRng};
use serde::{Deserialize, Serialize};
use std::fmt;

const NAME: &str = "SomeOf";

/// Applies some of several transforms, each at most once and in their order; all are equally likely.
///
/// # Examples
/// ```
/// use unetr_data::{GaussianBlur, Probability, RandomGamma, SomeOf, ToGray};
///
/// let p = Probability::ALWAYS;
/// let worse = SomeOf::new([1, 2], [
///     RandomGamma { p, ..RandomGamma::default() }.into(),
///     ToGray { p, ..ToGray::default() }.into(),
///     GaussianBlur { p, ..GaussianBlur::default() }.into(),
/// ]);
/// assert!(worse.to_string().starts_with("SomeOf(1 to 2 of RandomGamma("));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SomeOf {
    /// The fewest and the most that are applied.
    pub count: [usize; 2],
    /// What may be applied. Its own `p` counts once it has been chosen.
    pub steps: Vec<Step>,
    /// How often any of them is applied at all; 0.5 by default.
    #[serde(default)]
    pub p: Probability,
}

impl SomeOf {
    /// So many of these transforms, in half of the samples.
    pub fn new(count: [usize; 2], steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            count,
            steps: steps.into_iter().collect(),
            p: Probability::HALF,
        }
    }
}

impl Transform for SomeOf {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        // D. E. Knuth, The Art of Computer Programming 2, section 3.4.2, algorithm S.
        let mut wanted = whole(rng, self.count);
        for (step, left) in self.steps.iter().zip((1..=self.steps.len()).rev()) {
            if below(rng, left) < wanted {
                wanted -= 1;
                step.draw(canvas, rng)?;
            }
        }
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        let invalid = |reason: String| Error::InvalidTransform {
            transform: NAME,
            reason,
        };
        let ([fewest, most], all) = (self.count, self.steps.len());
        if most == 0 || most < fewest || all < most {
            return Err(invalid(format!(
                "count is [{fewest}, {most}] of {all}; give the fewest first and 1 to {all} as the most"
            )));
        }
        for step in &self.steps {
            if step.check(pixels)? != pixels {
                return Err(invalid(format!(
                    "{step} makes floats in some samples only; put it after SomeOf"
                )));
            }
        }
        Ok(pixels)
    }
}

impl fmt::Display for SomeOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fewest, most] = self.count;
        write!(f, "{NAME}({fewest} to {most} of ")?;
        for (i, step) in self.steps.iter().enumerate() {
            let bar = if i == 0 { "" } else { " | " };
            write!(f, "{bar}{step}")?;
        }
        write!(f, ", p {})", self.p)
    }
}
