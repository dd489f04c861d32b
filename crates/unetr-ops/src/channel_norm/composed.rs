use candle_core::{Result, Tensor};

use super::{Epilogue, Statistics};

pub(super) fn normalise(
    xs: &Tensor,
    affine: &Tensor,
    statistics: Statistics,
    eps: f64,
    epilogue: Epilogue<'_>,
) -> Result<Tensor> {
    let (batch, channels) = (xs.dim(0)?, xs.dim(1)?);
    let (centred, variance) = centre(xs, statistics)?;
    let normed = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    let normed = normed.reshape((batch, channels, ()))?;
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

pub(super) fn moments(xs: &Tensor, statistics: Statistics) -> Result<Tensor> {
    let sets = by_set(xs, statistics)?;
    let (_, variance) = centre(xs, statistics)?;
    let mean = sets.mean_keepdim(averaged(statistics))?;
    Tensor::stack(&[mean.flatten_all()?, variance.flatten_all()?], 0)
}

/// The input less its means, and its variances, in shapes that broadcast with each other.
fn centre(xs: &Tensor, statistics: Statistics) -> Result<(Tensor, Tensor)> {
    let sets = by_set(xs, statistics)?;
    let over = averaged(statistics);
    let centred = sets.broadcast_sub(&sets.mean_keepdim(over)?)?;
    let variance = centred.sqr()?.mean_keepdim(over)?;
    Ok((centred, variance))
}

/// `[batch, groups, pixels of a group]`, or `[batch, channels, pixels]`.
fn by_set(xs: &Tensor, statistics: Statistics) -> Result<Tensor> {
    let groups = match statistics {
        Statistics::Group { groups } => groups,
        Statistics::Batch => xs.dim(1)?,
    };
    xs.contiguous()?.reshape((xs.dim(0)?, groups, ()))
}

/// The dimensions of [`by_set`] over which a mean is taken.
fn averaged(statistics: Statistics) -> &'static [usize] {
    match statistics {
        Statistics::Group { .. } => &[2],
        Statistics::Batch => &[0, 2],
    }
}
