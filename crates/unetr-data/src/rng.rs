use rand::SeedableRng;
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
