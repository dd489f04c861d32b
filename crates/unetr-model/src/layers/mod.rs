//! Layers: an operation of `unetr_ops` with its parameters.

mod conv;
mod conv_transpose;
mod layer_norm;
mod linear;
mod norm;

pub use conv::Conv2d;
pub use conv_transpose::ConvTranspose2d;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use norm::Norm;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// Whether a layer adds a learned constant to each output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// It does; the constant starts at 0.
    Learned,
    /// It does not.
    None,
}

impl Bias {
    /// What a configuration's `true` and `false` mean.
    pub fn from_config(learned: bool) -> Self {
        if learned { Self::Learned } else { Self::None }
    }

    /// The parameter `bias` of so many outputs, if there is one.
    fn get(self, outputs: usize, vb: &VarBuilder<'_>) -> Result<Option<Tensor>> {
        match self {
            Self::Learned => vb
                .get_with_hints(outputs, "bias", candle_nn::init::ZERO)
                .map(Some),
            Self::None => Ok(None),
        }
    }
}
