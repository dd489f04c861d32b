//! Layers: an operation of `unetr_ops` with its parameters.
//!
//! A layer computes in the type of its input, whatever the type of its parameters: f32 parameters
//! and bf16 images are mixed precision, and the gradients of the parameters are f32.

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

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

/// A parameter in the type of the input it meets; as it is for inputs of 16 bits, which the operations
/// take together with parameters in f32.
pub(crate) fn cast(parameter: &Tensor, xs: &Tensor) -> Result<Tensor> {
    match xs.dtype() {
        DType::BF16 | DType::F16 => Ok(parameter.clone()),
        dtype => parameter.to_dtype(dtype),
    }
}

/// [`cast`] of a parameter that may not exist.
fn cast_option(parameter: Option<&Tensor>, xs: &Tensor) -> Result<Option<Tensor>> {
    parameter.map(|parameter| cast(parameter, xs)).transpose()
}

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
    pub(crate) fn from_config(learned: bool) -> Self {
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
