use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use candle_nn::init::{ONE, ZERO};

use super::cast;

/// Layer normalisation over the last dimension, with a gradient (see [`unetr_ops::layer_norm`]).
///
/// Parameters: `weight` and `bias` `[size]`, ones and zeros.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// A normalisation of `size` numbers.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(size: usize, eps: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get_with_hints(size, "weight", ONE)?;
        Ok(Self {
            weight,
            bias: vb.get_with_hints(size, "bias", ZERO)?,
            eps,
        })
    }

    /// Applies the normalisation.
    ///
    /// # Shapes
    /// - `xs`: `[.., size]`
    /// - returns: the same shape
    ///
    /// # Errors
    /// When the last dimension is not `size`.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (cast(&self.weight, xs)?, cast(&self.bias, xs)?);
        unetr_ops::layer_norm(xs, &weight, &bias, self.eps)
    }

    /// Scale and shift, in the type of `xs`.
    ///
    /// # Errors
    /// When Candle cannot convert them.
    pub(crate) fn affine(&self, xs: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((cast(&self.weight, xs)?, cast(&self.bias, xs)?))
    }
}
