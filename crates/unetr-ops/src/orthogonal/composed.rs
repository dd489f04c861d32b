use candle_core::{DType, Device, Result, Tensor};

use super::{EPS, QUINTIC};

pub(super) fn orthogonal(matrices: &Tensor, iterations: usize) -> Result<Tensor> {
    let dtype = matrices.dtype();
    let (_, rows, columns) = matrices.dims3()?;
    // One sum after the other: a GPU computes each row's in a block of its own.
    let squares = matrices.sqr()?.sum_keepdim(2)?.sum_keepdim(1)?;
    let lengths = (squares.sqrt()? + EPS)?;
    let mut xs = matrices.broadcast_div(&lengths)?;
    if rows > columns {
        xs = xs.transpose(1, 2)?;
    }
    // The iteration corrects its own rounding.
    let wide = match (matrices.device(), dtype) {
        (Device::Cuda(_), DType::F32) => DType::BF16,
        _ => dtype,
    };
    xs = xs.to_dtype(wide)?.contiguous()?;
    let [a, b, c] = QUINTIC;
    for _ in 0..iterations {
        let squares = xs.matmul(&xs.transpose(1, 2)?)?;
        let factors = ((&squares * b)? + (squares.matmul(&squares)? * c)?)?;
        xs = ((&xs * a)? + factors.matmul(&xs)?)?;
    }
    if rows > columns {
        xs = xs.transpose(1, 2)?;
    }
    xs.to_dtype(dtype)?.contiguous()
}
