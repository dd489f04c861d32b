use serde::{Deserialize, Serialize};

/// What a score is for a class that it is not defined for, because its denominator is zero: a
/// class that is neither in the truth nor predicted, for example, has no IoU.
///
/// The two policies differ on small validation sets with rare classes, and only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentClass {
    /// The class scores 0 and counts in the mean: what the Flax UNETR tutorial does, whose
    /// denominators are `+ 1e-15` in 32 bits (where that changes nothing but 0/0).
    #[default]
    Zero,
    /// The class has no score (`None`) and is left out of the mean.
    Skip,
}

impl AbsentClass {
    /// `numerator / denominator` under this policy.
    pub(crate) fn ratio(self, numerator: f64, denominator: f64) -> Option<f64> {
        match self {
            _ if denominator != 0.0 => Some(numerator / denominator),
            Self::Zero => Some(0.0),
            Self::Skip => None,
        }
    }
}
