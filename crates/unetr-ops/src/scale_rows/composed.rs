//! The same from Candle's operations.

use candle_core::{Result, Tensor};

pub(super) fn scale_rows(xs: &Tensor, factors: &Tensor) -> Result<Tensor> {
    let mut column = vec![1; xs.rank()];
    column[0] = factors.elem_count();
    xs.broadcast_mul(&factors.reshape(column)?)
}
