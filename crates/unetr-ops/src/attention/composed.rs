use candle_core::{Result, Tensor};

use crate::{Dropout, Mode, softmax_last_dim};

pub(super) fn attention(
    qkv: &Tensor,
    heads: usize,
    dropout: &Dropout,
    mode: Mode,
) -> Result<Tensor> {
    let (batch, tokens, packed) = qkv.dims3()?;
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
