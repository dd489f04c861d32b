//! The block as its definition says, from the other operations of this crate.

use candle_core::{Result, Tensor};

use super::{Dense, EncoderBlock, OP};
use crate::{Affine, Dropout, Mode, attention, gelu, layer_norm, linear};

pub(super) fn encoder_block(xs: &Tensor, block: &EncoderBlock<'_>) -> Result<Tensor> {
    let norm = |xs: &Tensor, Affine { weight, bias }| layer_norm(xs, weight, bias, block.eps);
    let dense = |xs: &Tensor, Dense { weight, bias }| linear(xs, weight, bias);
    let dropout = Dropout::new(0., OP)?;

    let qkv = dense(&norm(xs, block.norm1)?, block.qkv)?;
    let mixed = attention(&qkv, block.heads, &dropout, Mode::Eval)?;
    let xs = (xs + dense(&mixed, block.projection)?)?;

    let hidden = gelu(&dense(&norm(&xs, block.norm2)?, block.linear1)?, block.gelu)?;
    &xs + dense(&hidden, block.linear2)?
}
