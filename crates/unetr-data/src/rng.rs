use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator that every random transform draws from: ChaCha with 8 rounds, the same on every
/// platform and in every release.
pub type SampleRng = ChaCha8Rng;

/// The generator of one sample in one epoch.
///
/// Its stream depends on nothing but `(seed, epoch, index)`, so that neither the number of worker
/// threads nor their order nor a resume changes what is drawn.
///
/// # Examples
/// ```
/// use unetr_data::{rand::Rng, sample_rng};
///
/// let draw = |epoch| sample_rng(12, epoch, 7).random_range(0..1_000_000);
/// assert_eq!(draw(3), draw(3));
/// assert_ne!(draw(3), draw(4));
/// ```
pub fn sample_rng(seed: u64, epoch: u64, index: u64) -> SampleRng {
    generator([seed, epoch, index], b"unetr/rs")
}

/// The generator of what is done to a batch, by its first sample.
pub(crate) fn batch_rng(seed: u64, epoch: u64, first: u64) -> SampleRng {
    generator([seed, epoch, first], b"unetr/bt")
}

fn generator(numbers: [u64; 3], purpose: &[u8; 8]) -> SampleRng {
    let mut key = [0; 32];
    for (bytes, number) in key.chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    key[24..].copy_from_slice(purpose);
    SampleRng::from_seed(key)
}

// The distributions are written out, as those of `rand` may draw other values in its next release.

/// A number in [0, 1) with 53 random bits.
pub(crate) fn unit(rng: &mut SampleRng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A number in [low, high).
pub(crate) fn uniform(rng: &mut SampleRng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * unit(rng)
}

/// A whole number in [0, n), by the high half of a product; its bias is below n / 2⁶⁴.
pub(crate) fn below(rng: &mut SampleRng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A whole number in [low, high].
pub(crate) fn whole(rng: &mut SampleRng, [low, high]: [usize; 2]) -> usize {
    low + below(rng, high.saturating_sub(low).saturating_add(1))
}

/// A normally distributed number of mean 0 and standard deviation 1, or nearly so: a sum of eight random bytes, none of
/// them beyond 4.9, with a kurtosis of 2.85 instead of 3 (P. Hall, Biometrika 19, 1927). Box and Muller's logarithm and
/// sine would take most of the time of a noisy photo.
pub(crate) fn normal(rng: &mut SampleRng) -> f32 {
    const MEAN: f32 = 8.0 * 127.5;
    /// Of a variance of `(256² - 1) / 12` a byte.
    const STD: f32 = 209.021_53;
    let bytes = rng.next_u64().to_le_bytes();
    let sum: u32 = bytes.into_iter().map(u32::from).sum();
    (sum as f32 - MEAN) / STD
}
