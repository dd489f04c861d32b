//! Position embeddings for another grid of patches.

use candle_core::{DType, Device, Result, Tensor};

/// Resamples a square grid of embeddings to another, bicubically and with as wide a kernel as a smaller grid
/// needs.
///
/// Source: what timm's `resample_abs_pos_embed` and PyTorch's `interpolate` with `antialias` do.
///
/// # Shapes
/// - `embeddings`: `[1, side · side, hidden]`
/// - returns: `[1, rows · columns, hidden]`, f64
pub(super) fn resample(
    embeddings: &Tensor,
    side: usize,
    [rows, columns]: [usize; 2],
) -> Result<Tensor> {
    let hidden = embeddings.dim(2)?;
    let grid = embeddings.to_dtype(DType::F64)?;
    if [rows, columns] == [side, side] {
        return Ok(grid);
    }
    let across = weights(side, columns)?;
    let down = weights(side, rows)?;
    // [side, side · hidden] → [rows, side, hidden], then the columns of each row.
    let grid = down.matmul(&grid.reshape((side, side * hidden))?)?;
    let grid = grid.reshape((rows, side, hidden))?;
    let across = across.unsqueeze(0)?.broadcast_as((rows, columns, side))?;
    let grid = across.contiguous()?.matmul(&grid)?;
    grid.reshape((1, rows * columns, hidden))
}

/// How much of each of `from` places each of `to` takes, `[to, from]`.
fn weights(from: usize, to: usize) -> Result<Tensor> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.);
    let mut all = Vec::with_capacity(to * from);
    for i in 0..to {
        let centre = scale * (i as f64 + 0.5);
        let row: Vec<f64> = (0..from)
            .map(|j| cubic((j as f64 + 0.5 - centre) / stretch))
            .collect();
        let sum: f64 = row.iter().sum();
        all.extend(row.into_iter().map(|weight| weight / sum));
    }
    Tensor::from_vec(all, (to, from), &Device::Cpu)
}

/// The cubic kernel of Keys 1981 (<https://doi.org/10.1109/TASSP.1981.1163711>) with `a = -0.5`.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1. {
        ((A + 2.) * x - (A + 3.)) * x * x + 1.
    } else if x < 2. {
        (((x - 5.) * x + 8.) * x - 4.) * A
    } else {
        0.
    }
}
