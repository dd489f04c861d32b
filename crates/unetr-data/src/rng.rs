use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator that every random transform draws from: ChaCha with 8 rounds, the same on every
/// platform and in every release.
pub type SampleRng = ChaCha8Rng;

/// The generator of one sample in one epoch.
///
/// Its stream depends on nothing but `(seed, epoch, index)`, so that neither the number of worker
/// threads nor their order nor a resume changes what is drawn.
pub fn sample_rng(seed: u64, epoch: u64, index: u64) -> SampleRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    key[24..].copy_from_slice(b"unetr/rs");
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
