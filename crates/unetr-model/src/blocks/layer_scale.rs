use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::layers::Linear;

/// A learned factor for every channel of what a residual branch adds, which starts so small that a
/// deep network starts close to the identity.
///
/// Parameters: `gamma` `[size]`, as in timm.
///
/// Source: CaiT (Touvron et al. 2021), section 2, <https://arxiv.org/abs/2103.17239>
#[derive(Debug, Clone)]
pub struct LayerScale {
    gamma: Tensor,
}

impl LayerScale {
    /// Factors of `size` channels, which start at `value`.
    ///
    /// # Errors
    /// When the variable builder has no such parameter.
    pub fn new(size: usize, value: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let gamma = vb.get_with_hints(size, "gamma", Init::Const(value))?;
        Ok(Self { gamma })
    }

    /// Multiplies the channels.
    ///
    /// # Shapes
    /// - `xs`: `[.., size]`
    /// - returns: the same shape
    ///
    /// # Errors
    /// When the last dimension is not `size`.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        xs.broadcast_mul(&self.gamma.to_dtype(xs.dtype())?)
    }

    /// The layer whose outputs are those of `layer`, multiplied: `γ·(W·x + b) = (γ·W)·x + γ·b`.
    ///
    /// # Errors
    /// When the layer has not `size` outputs.
    pub(super) fn after(&self, layer: &Linear) -> Result<Linear> {
        layer.scaled(&self.gamma)
    }
}
