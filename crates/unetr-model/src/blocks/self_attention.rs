use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use unetr_ops::{Dropout, Mode, attention};

use crate::VitConfig;
use crate::layers::{Bias, Linear};

/// Multi-head self-attention with its projections.
///
/// Parameters: `qkv` `[3·hidden, hidden]` (queries, keys, values; each head-major) and `out_proj`.
///
/// Source: Vaswani et al. 2017, section 3.2.2, <https://arxiv.org/abs/1706.03762>
#[derive(Debug, Clone)]
pub struct SelfAttention {
    pub(super) qkv: Linear,
    pub(super) out_proj: Linear,
    heads: usize,
    weights_dropout: Dropout,
    projection_dropout: Dropout,
}

impl SelfAttention {
    /// An attention over tokens of `hidden_size` numbers.
    ///
    /// # Errors
    /// When the configuration is not valid or the variable builder has no such parameters.
    pub fn new(cfg: &VitConfig, vb: VarBuilder<'_>) -> Result<Self> {
        cfg.validate()?;
        let hidden = cfg.hidden_size;
        let qkv_bias = Bias::from_config(cfg.qkv_bias);
        Ok(Self {
            qkv: Linear::new(hidden, 3 * hidden, qkv_bias, vb.pp("qkv"))?,
            out_proj: Linear::new(hidden, hidden, Bias::Learned, vb.pp("out_proj"))?,
            heads: cfg.heads,
            weights_dropout: Dropout::new(cfg.dropout, &vb.pp("drop_weights").prefix())?,
            projection_dropout: Dropout::new(
                cfg.projection_dropout,
                &vb.pp("drop_output").prefix(),
            )?,
        })
    }

    /// Lets every token attend to all tokens of its image.
    ///
    /// # Shapes
    /// - `xs`: `[batch, tokens, hidden]`
    /// - returns: the same shape
    ///
    /// # Errors
    /// When the last dimension is not the hidden size.
    pub fn forward(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        let qkv = self.qkv.forward(xs)?;
        let mixed = attention(&qkv, self.heads, &self.weights_dropout, mode)?;
        self.projection_dropout
            .apply(&self.out_proj.forward(&mixed)?, mode)
    }
}
