use std::fmt;

use candle_optimisers::Decay;
use serde::{Deserialize, Serialize};

/// How weight decay comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecayKind {
    /// Added to the gradient, as the gradient of a sum of squares is, before moments are computed:
    /// what PyTorch's optimisers other than AdamW do.
    #[default]
    L2,
    /// Taken off the parameter itself, times the learning rate
    /// (<https://arxiv.org/abs/1711.05101>).
    Decoupled,
}

impl DecayKind {
    pub(super) fn of(self, weight_decay: f64) -> Option<Decay> {
        match self {
            _ if weight_decay == 0. => None,
            Self::L2 => Some(Decay::WeightDecay(weight_decay)),
            Self::Decoupled => Some(Decay::DecoupledWeightDecay(weight_decay)),
        }
    }
}

impl fmt::Display for DecayKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "l2",
            Self::Decoupled => "decoupled",
        })
    }
}
