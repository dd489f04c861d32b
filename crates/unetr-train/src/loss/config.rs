use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use super::{CrossEntropy, Dice, Focal, Lovasz, SoftJaccard, SumLoss, Tversky};
use crate::check::check_not_negative;
use crate::{Error, Result};

/// A [`SumLoss`] as plain data: the list of its terms. In TOML:
///
/// ```toml
/// loss = [
///     { kind = "cross_entropy", smoothing = 0.1, ignore_index = 255 },
///     { kind = "dice", weight = 0.5, classes = { only = [1, 2] }, ignore_index = 255 },
/// ]
/// ```
///
/// # Examples
/// ```
/// use unetr_train::LossConfig;
///
/// let json = r#"[{"kind": "cross_entropy"}, {"kind": "focal", "weight": 0.5, "gamma": 3.0}]"#;
/// let config: LossConfig = serde_json::from_str(json)?;
/// assert_eq!(config.to_string(), "cross entropy + 0.5 · focal (gamma 3)");
/// let loss = config.build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LossConfig {
    /// What is added up, one at least.
    pub terms: Vec<LossTerm>,
}

/// A loss and its weight in a sum; as data the loss's `kind`, its settings and its `weight`, all of which
/// but the kind have defaults.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LossTerm {
    /// What the loss is multiplied with, at least 0; 1 by default.
    pub weight: f64,
    /// The loss.
    #[serde(flatten)]
    pub loss: LossKind,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One of the losses of this crate, as it stands in a file: its name in `kind`, beside its
        /// settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum LossKind {
            $($(#[$doc])* $name($name),)*
        }

        impl LossKind {
            fn ignore_index(&mut self) -> &mut Option<u32> {
                match self {
                    $(Self::$name(loss) => &mut loss.ignore_index,)*
                }
            }

            fn add_to(&self, sum: SumLoss, weight: f64) -> SumLoss {
                match self {
                    $(Self::$name(loss) => sum.plus_weighted(weight, loss.clone()),)*
                }
            }
        }

        impl fmt::Display for LossKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(loss) => loss.fmt(f),)*
                }
            }
        }

        $(impl From<$name> for LossKind {
            fn from(loss: $name) -> Self {
                Self::$name(loss)
            }
        })*
    };
}

kinds! {
    /// Cross entropy.
    CrossEntropy,
    /// One minus the soft intersection over union.
    SoftJaccard,
    /// One minus the soft Dice coefficient.
    Dice,
    /// Cross entropy with less weight where it is small.
    Focal,
    /// One minus the soft Tversky index.
    Tversky,
    /// The convex surrogate of the intersection over union.
    Lovasz,
}

impl LossTerm {
    /// A loss with a weight.
    pub fn new(weight: f64, loss: impl Into<LossKind>) -> Self {
        let loss = loss.into();
        Self { weight, loss }
    }
}

impl LossConfig {
    /// The tutorial's: cross entropy and soft Jaccard.
    pub fn tutorial() -> Self {
        let terms = vec![
            LossTerm::new(1., CrossEntropy::default()),
            LossTerm::new(1., SoftJaccard::default()),
        ];
        Self { terms }
    }

    /// The same losses; each that ignores no label yet is without the pixels of this one.
    ///
    /// # Examples
    /// ```
    /// use unetr_train::LossConfig;
    ///
    /// let loss = LossConfig::tutorial().ignoring(255);
    /// assert_eq!(loss.to_string().matches("255").count(), 2);
    /// ```
    #[must_use]
    pub fn ignoring(mut self, label: u32) -> Self {
        for LossTerm { loss, .. } in &mut self.terms {
            loss.ignore_index().get_or_insert(label);
        }
        self
    }

    /// Checks every setting. How many class weights there have to be is known with the first logits
    /// only.
    ///
    /// # Errors
    /// When there is no term, or when a number is out of its range.
    pub fn validate(&self) -> Result<()> {
        if self.terms.is_empty() {
            return Err(Error::Setting {
                what: "the number of losses".to_owned(),
                found: "0".to_owned(),
                expected: "at least 1",
            });
        }
        for LossTerm { weight, loss } in &self.terms {
            check_not_negative("the weight of a loss", *weight)?;
            match loss {
                LossKind::CrossEntropy(loss) => loss.validate()?,
                LossKind::Dice(loss) => loss.validate()?,
                LossKind::Focal(loss) => loss.validate()?,
                LossKind::Tversky(loss) => loss.validate()?,
                LossKind::Lovasz(loss) => loss.validate()?,
                LossKind::SoftJaccard(_) => {}
            }
        }
        Ok(())
    }

    /// The loss.
    ///
    /// # Errors
    /// As of [`validate`](Self::validate).
    pub fn build(&self) -> Result<SumLoss> {
        self.validate()?;
        let terms = self.terms.iter();
        Ok(terms.fold(SumLoss::empty(), |sum, term| {
            term.loss.add_to(sum, term.weight)
        }))
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        Self::tutorial()
    }
}

impl fmt::Display for LossConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let plus = if i == 0 { "" } else { " + " };
            write!(f, "{plus}{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LossTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weight != 1. {
            write!(f, "{} · ", self.weight)?;
        }
        self.loss.fmt(f)
    }
}

/// By hand, since serde's `flatten` accepts keys that nobody knows.
impl<'de> Deserialize<'de> for LossTerm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = Map::deserialize(deserializer)?;
        let weight = match keys.remove("weight") {
            Some(weight) => f64::deserialize(weight)
                .map_err(|error| de::Error::custom(format!("weight: {error}")))?,
            None => 1.,
        };
        let kind = keys.get("kind").and_then(Value::as_str).map(str::to_owned);
        let loss = LossKind::deserialize(Value::Object(keys)).map_err(|error| match kind {
            Some(kind) => de::Error::custom(format!("{kind}: {error}")),
            None => de::Error::custom(error),
        })?;
        Ok(Self { weight, loss })
    }
}
