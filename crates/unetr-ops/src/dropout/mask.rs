/// FNV-1a, 64 bits: a fixed hash, unlike the standard library's.
pub(super) fn hash_name(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64 (Steele et al. 2014): every bit of `z` reaches every bit of the
/// result.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// For each element 0 with probability `rate`, `1 / (1 - rate)` otherwise.
pub(super) fn keep(count: usize, rate: f64, stream: u64) -> Vec<f32> {
    let scale = (1. / (1. - rate)) as f32;
    let threshold = (rate * 2f64.powi(53)) as u64;
    let start = mix(stream);
    (0..count as u64)
        .map(|i| {
            // SplitMix64: a Weyl sequence, finalised.
            let bits = mix(start.wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            if bits >> 11 < threshold { 0. } else { scale }
        })
        .collect()
}
