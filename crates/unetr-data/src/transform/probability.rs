use crate::{Error, Result, SampleRng, rng::unit};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How often something happens: a number from 0 to 1, checked when it is made or deserialised.
///
/// # Examples
/// ```
/// use unetr_data::Probability;
///
/// assert_eq!(Probability::new(0.3)?.get(), 0.3);
/// assert!(Probability::new(1.5).is_err());
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(pub(super) f64);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0.0);
    /// Every second time, on average.
    pub const HALF: Self = Self(0.5);
    /// Always.
    pub const ALWAYS: Self = Self(1.0);

    /// Checks a probability.
    ///
    /// # Errors
    /// When `p` is not between 0 and 1.
    pub fn new(p: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&p) {
            Ok(Self(p))
        } else {
            Err(Error::Probability(p))
        }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether it happens this time.
    pub fn draw(self, rng: &mut SampleRng) -> bool {
        unit(rng) < self.0
    }
}

/// Every second time.
impl Default for Probability {
    fn default() -> Self {
        Self::HALF
    }
}

impl TryFrom<f64> for Probability {
    type Error = Error;

    fn try_from(p: f64) -> Result<Self> {
        Self::new(p)
    }
}

impl From<Probability> for f64 {
    fn from(p: Probability) -> Self {
        p.0
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
