use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Dropout, Gelu, Mode, gelu};

use crate::VitConfig;
use crate::layers::{Bias, Linear};

/// The feed-forward half of an encoder block: linear, GELU, linear, with dropout after both.
///
/// Parameters: `linear1`, `linear2`.
///
/// Source: Dosovitskiy et al. 2021, section 3.1, <https://arxiv.org/abs/2010.11929>
#[derive(Debug, Clone)]
pub struct Mlp {
    pub(super) linear1: Linear,
    pub(super) linear2: Linear,
    gelu: Gelu,
    dropout1: Dropout,
    dropout2: Dropout,
}

impl Mlp {
    /// An MLP from `hidden_size` over `mlp_size` back to `hidden_size` numbers.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(cfg: &VitConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (hidden, inner) = (cfg.hidden_size, cfg.mlp_size);
        Ok(Self {
            linear1: Linear::new(hidden, inner, Bias::Learned, vb.pp("linear1"))?,
            linear2: Linear::new(inner, hidden, Bias::Learned, vb.pp("linear2"))?,
            gelu: cfg.gelu,
            dropout1: Dropout::new(cfg.dropout, &vb.pp("drop1").prefix())?,
            dropout2: Dropout::new(cfg.dropout, &vb.pp("drop2").prefix())?,
        })
    }

    /// Applies the MLP to every token.
    ///
    /// # Shapes
    /// - `xs`: `[.., hidden]`
    /// - returns: the same shape
    ///
    /// # Errors
    /// When the last dimension is not the hidden size.
    pub fn forward(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        let xs = gelu(&self.linear1.forward(xs)?, self.gelu)?;
        let xs = self.dropout1.apply(&xs, mode)?;
        self.dropout2.apply(&self.linear2.forward(&xs)?, mode)
    }
}
