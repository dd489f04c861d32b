//! Bicubic resampling along one axis, with as wide a kernel as fewer places need: what PyTorch's `interpolate` does with
//! `antialias`.

use candle_core::{Device, Result, Tensor};

/// How much of each of `from` places each of `to` takes, `[to, from]`.
pub(super) fn weights(from: usize, to: usize) -> Result<Tensor> {
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
