//! Multi-head self-attention.

use candle_core::{Result, Tensor};

use crate::error::shape_error;
use crate::{Dropout, Mode, OpError, softmax_last_dim};

const OP: &str = "attention";

/// Scaled dot-product self-attention over packed queries, keys and values (Vaswani et al. 2017,
/// section 3.2, <https://arxiv.org/abs/1706.03762>); `dropout` acts on the attention weights.
///
/// # Shapes
/// - `qkv`: `[batch, tokens, 3·hidden]`: queries, then keys, then values; each head-major
/// - returns: `[batch, tokens, hidden]`
///
/// # Errors
/// When the last dimension is no multiple of `3·heads`.
pub fn attention(qkv: &Tensor, heads: usize, dropout: &Dropout, mode: Mode) -> Result<Tensor> {
    let &[batch, tokens, packed] = qkv.dims() else {
        return Err(shape_error(
            OP,
            "the packed input",
            qkv,
            "[batch, tokens, 3·hidden]",
        ));
    };
    if heads == 0 || packed % (3 * heads) != 0 {
        let expected = format!("a divisor of a third of the packed width {packed}");
        let found = heads.to_string();
        return Err(OpError::Value {
            op: OP,
            argument: "heads",
            found,
            expected,
        }
        .into());
    }
    let (hidden, head) = (packed / 3, packed / 3 / heads);
    // [3, batch, heads, tokens, head]
    let split = qkv
        .reshape((batch, tokens, 3, heads, head))?
        .permute((2, 0, 3, 1, 4))?;
    let query = (split.get(0)?.contiguous()? * (head as f64).powf(-0.5))?;
    let key = split.get(1)?.transpose(2, 3)?.contiguous()?;
    let value = split.get(2)?.contiguous()?;
    let weights = dropout.apply(&softmax_last_dim(&query.matmul(&key)?)?, mode)?;
    let mixed = weights.matmul(&value)?;
    mixed.transpose(1, 2)?.reshape((batch, tokens, hidden))
}
