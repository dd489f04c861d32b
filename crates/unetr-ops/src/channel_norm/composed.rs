use candle_core::{Result, Tensor};

use super::{BatchStatistics, Epilogue, Statistics};

pub(super) fn normalise(
    xs: &Tensor,
    affine: &Tensor,
    statistics: Statistics,
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let (batch, channels) = (xs.dim(0)?, xs.dim(1)?);
    let pixels = xs.elem_count() / (batch * channels);
    let normed = match statistics {
        Statistics::Group { groups } => {
            let rows = xs.reshape((batch * groups, channels / groups * pixels))?;
            let centred = rows.broadcast_sub(&rows.mean_keepdim(1)?)?;
            let variance = centred.sqr()?.mean_keepdim(1)?;
            centred.broadcast_div(&(variance + eps)?.sqrt()?)?
        }
        Statistics::Batch => {
            let maps = xs.reshape((batch, channels, pixels))?;
            let centred = maps.broadcast_sub(&maps.mean_keepdim((0, 2))?)?;
            let variance = centred.sqr()?.mean_keepdim((0, 2))?;
            centred.broadcast_div(&(variance + eps)?.sqrt()?)?
        }
    };
    let normed = normed.reshape((batch, channels, pixels))?;
    let ys = normed
        .broadcast_mul(&affine.get(0)?.reshape((1, channels, 1))?)?
        .broadcast_add(&affine.get(1)?.reshape((1, channels, 1))?)?
        .reshape(xs.shape())?;
    let ys = match epilogue.residual {
        Some(residual) => (ys + residual)?,
        None => ys,
    };
    epilogue.activation.apply(&ys)
}

pub(super) fn batch_statistics(xs: &Tensor) -> Result<BatchStatistics> {
    let (batch, channels) = (xs.dim(0)?, xs.dim(1)?);
    let maps = xs.reshape((batch, channels, xs.elem_count() / (batch * channels)))?;
    let mean = maps.mean_keepdim((0, 2))?;
    let variance = maps.broadcast_sub(&mean)?.sqr()?.mean((0, 2))?;
    Ok(BatchStatistics { mean: mean.flatten_all()?, variance })
}
