//! Expected values: NumPy 2.4.6, as written in each test.

use unetr_data::NumpyRng;

#[test]
fn raw_stream_of_small_and_large_seeds() {
    // [int(v) for v in np.random.default_rng(0).bit_generator.random_raw(2)]
    let mut rng = NumpyRng::new(0);
    assert_eq!(
        [rng.next_u64(), rng.next_u64()],
        [11_749_869_230_777_074_271, 4_976_686_463_289_251_617]
    );
    // default_rng(2**40 + 7): a seed of two 32-bit words
    let mut rng = NumpyRng::new((1 << 40) + 7);
    assert_eq!(
        [rng.next_u64(), rng.next_u64(), rng.next_u64()],
        [
            15_307_346_044_642_009_514,
            4_709_548_916_763_817_589,
            2_836_937_976_252_648_324
        ]
    );
}

#[test]
fn permutation_of_a_large_seed() {
    // np.random.default_rng(2**63 + 12345).permutation(8)
    let order = NumpyRng::new((1 << 63) + 12_345).permutation(8);
    assert_eq!(order, [5, 1, 0, 2, 7, 3, 6, 4]);
}

#[test]
fn short_permutations() {
    assert!(NumpyRng::new(1).permutation(0).is_empty());
    assert_eq!(NumpyRng::new(1).permutation(1), [0]);
}
