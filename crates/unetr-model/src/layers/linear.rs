use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::scale_rows;

use super::{Bias, cast, cast_option};
use crate::init;

/// Fully connected layer over the last dimension.
///
/// Parameters: `weight` `[outputs, inputs]`, LeCun normal, and `bias` `[outputs]`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// A layer from `inputs` to `outputs` numbers.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(inputs: usize, outputs: usize, bias: Bias, vb: VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get_with_hints((outputs, inputs), "weight", init::lecun_normal(inputs))?;
        Ok(Self {
            weight,
            bias: bias.get(outputs, &vb)?,
        })
    }

    /// Applies the layer.
    ///
    /// # Shapes
    /// - `xs`: `[.., inputs]`
    /// - returns: `[.., outputs]`
    ///
    /// # Errors
    /// When the last dimension is not `inputs`.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let bias = cast_option(self.bias.as_ref(), xs)?;
        unetr_ops::linear(xs, &cast(&self.weight, xs)?, bias.as_ref())
    }

    /// The layer whose outputs are multiplied by `factors`, one each.
    ///
    /// # Errors
    /// When there are not as many factors as outputs.
    pub(crate) fn scaled(&self, factors: &Tensor) -> Result<Self> {
        let bias = self.bias.as_ref();
        Ok(Self {
            weight: scale_rows(&self.weight, factors)?,
            bias: bias.map(|bias| scale_rows(bias, factors)).transpose()?,
        })
    }

    /// The parameters, in the type of `xs`.
    ///
    /// # Errors
    /// When Candle cannot convert them.
    pub(crate) fn parameters(&self, xs: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        Ok((
            cast(&self.weight, xs)?,
            cast_option(self.bias.as_ref(), xs)?,
        ))
    }
}
