//! Initialisers, as Candle's hints.
//!
//! [`Parameters`](crate::Parameters) draws `Init::Randn { mean, stdev }` from a normal distribution
//! cut at two of its deviations, so wide that the numbers have the deviation `stdev` *after* the
//! cut. With `stdev = 1/√fan_in` that is Flax's `lecun_normal` to the letter. The other hints are
//! Candle's.

use candle_core::Shape;
use candle_nn::Init;
use candle_nn::init::NormalOrUniform;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The deviation of a standard normal distribution cut at ±2.
const TRUNCATED_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// LeCun normal: variance `1 / fan_in`, so that a linear layer keeps the variance of its input
/// (LeCun et al. 1998, "Efficient BackProp").
pub fn lecun_normal(fan_in: usize) -> Init {
    Init::Randn {
        mean: 0.,
        stdev: (fan_in.max(1) as f64).sqrt().recip(),
    }
}

/// A normal distribution of deviation `stdev`, cut at `±2·stdev` and not widened for the cut, as
/// JAX's `truncated_normal`: the numbers' own deviation is `0.88·stdev`.
pub fn truncated_normal(stdev: f64) -> Init {
    Init::Randn {
        mean: 0.,
        stdev: stdev * TRUNCATED_DEVIATION,
    }
}

/// Numbers that are drawn one after the other; parts of that many are drawn by all threads.
const PART: usize = 1 << 16;
/// Words of the generator between the beginnings of parts: seven times what a part uses.
const WORDS: u128 = 1 << 20;

/// The numbers of a new parameter, from a stream of their own.
pub(super) fn draw(init: Init, shape: &Shape, seed: u64, stream: u64) -> Vec<f32> {
    if let Init::Const(value) = init {
        return vec![value as f32; shape.elem_count()];
    }
    let mut values = vec![0.; shape.elem_count()];
    let parts = values.par_chunks_mut(PART).enumerate();
    parts.for_each(|(part, values)| {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        generator.set_word_pos(part as u128 * WORDS);
        values.copy_from_slice(&draw_part(init, shape, values.len(), &mut generator));
    });
    values
}

fn draw_part(init: Init, shape: &Shape, count: usize, generator: &mut impl Rng) -> Vec<f32> {
    match init {
        Init::Const(value) => vec![value as f32; count],
        Init::Uniform { lo, up } => uniform(lo, up, count, generator),
        Init::Randn { mean, stdev } => {
            let sigma = stdev / TRUNCATED_DEVIATION;
            let inside = normals(generator).filter(|z| z.abs() <= 2.);
            inside
                .take(count)
                .map(|z| (mean + sigma * z) as f32)
                .collect()
        }
        Init::Kaiming {
            dist,
            fan,
            non_linearity,
        } => {
            let stdev = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Uniform => {
                    let bound = 3f64.sqrt() * stdev;
                    uniform(-bound, bound, count, generator)
                }
                NormalOrUniform::Normal => normals(generator)
                    .take(count)
                    .map(|z| (stdev * z) as f32)
                    .collect(),
            }
        }
    }
}

fn uniform(low: f64, high: f64, count: usize, generator: &mut impl Rng) -> Vec<f32> {
    (0..count)
        .map(|_| (low + (high - low) * generator.random::<f64>()) as f32)
        .collect()
}

/// Standard normal numbers without end (Box and Muller 1958).
fn normals(generator: &mut impl Rng) -> impl Iterator<Item = f64> {
    std::iter::from_fn(move || {
        // 1 - u is never 0, so that its logarithm is finite.
        let radius = (-2. * (1. - generator.random::<f64>()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * generator.random::<f64>()).sin_cos();
        Some([radius * sine, radius * cosine])
    })
    .flatten()
}
