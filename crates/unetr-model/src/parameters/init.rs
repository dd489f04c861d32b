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
/// Words of the generator between the beginnings of parts, more than any part uses.
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
        draw_part(init, shape, values, &mut generator);
    });
    values
}

fn draw_part(init: Init, shape: &Shape, values: &mut [f32], generator: &mut impl Rng) {
    match init {
        Init::Const(value) => values.fill(value as f32),
        Init::Uniform { lo, up } => uniform(lo, up, values, generator),
        Init::Randn { mean, stdev } => {
            let (mean, sigma) = (mean as f32, (stdev / TRUNCATED_DEVIATION) as f32);
            let processor = pulp::Arch::new();
            let mut words = [0; 1024];
            for values in values.chunks_mut(words.len()) {
                generator.fill(&mut words);
                let words = &words;
                processor.dispatch(CutNormals {
                    mean,
                    sigma,
                    words,
                    values,
                });
            }
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
                    uniform(-bound, bound, values, generator);
                }
                NormalOrUniform::Normal => {
                    for (value, z) in values.iter_mut().zip(normals(generator)) {
                        *value = (stdev * z) as f32;
                    }
                }
            }
        }
    }
}

fn uniform(low: f64, high: f64, values: &mut [f32], generator: &mut impl Rng) {
    for value in values {
        *value = (low + (high - low) * generator.random::<f64>()) as f32;
    }
}

/// Writes a normal number cut at two `sigma` for each word, with the widest vectors of the processor. `a·b + c` is
/// never contracted, so that the numbers are the same with all of them.
struct CutNormals<'a> {
    mean: f32,
    sigma: f32,
    words: &'a [u32],
    values: &'a mut [f32],
}

impl pulp::NullaryFnOnce for CutNormals<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (value, &word) in self.values.iter_mut().zip(self.words) {
            *value = self.mean + self.sigma * cut_normal(word);
        }
    }
}

/// The probability that a standard normal number is between -2 and 2.
const INSIDE: f32 = 0.954_499_7;

/// A standard normal number cut at ±2 from a random word, by the inverse of its distribution function:
/// `x·P(x²)`, where `P` interpolates at Chebyshev nodes, off by less than 1e-6. Without branches or calls,
/// so that loops over it vectorise.
#[inline(always)]
fn cut_normal(bits: u32) -> f32 {
    // The 24 bits that f32 has, from the middle of -1 to 1 on.
    let x = INSIDE * ((bits >> 8) as f32 + 0.5 - (1 << 23) as f32) / (1 << 23) as f32;
    let t = 2. / (INSIDE * INSIDE) * x * x - 1.;
    let mut sum = 0.;
    for coefficient in CUT_NORMAL {
        sum = sum * t + coefficient;
    }
    (x * sum).clamp(-2., 2.)
}

/// Of `t = 2·(x/INSIDE)² - 1`, from the highest power on.
const CUT_NORMAL: [f32; 23] = [
    0.056_756_54,
    0.069_886_07,
    -0.240_216_02,
    -0.295_577_85,
    0.451_852_7,
    0.555_869_3,
    -0.478_189_02,
    -0.588_046_13,
    0.316_488_12,
    0.389_301_03,
    -0.127_508_09,
    -0.156_500_6,
    0.039_836_034,
    0.049_597_606,
    0.005_019_975_4,
    0.007_720_593_4,
    0.020_593_885,
    0.029_763_686,
    0.044_110_134,
    0.071_019_74,
    0.127_513_1,
    0.287_978_65,
    1.458_068_8,
];

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
