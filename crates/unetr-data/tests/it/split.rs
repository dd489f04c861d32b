use std::collections::BTreeSet;

use proptest::prelude::*;
use unetr_data::{Error, Split};

use crate::fixtures::{array, indices};

#[test]
fn numpy_stream_is_the_fixtures() {
    let mut rng = unetr_data::NumpyRng::new(12);
    let raw = array("pcg64_seed12/raw_u64_first8_as_i64");
    for expected in raw.chunks_exact(8) {
        assert_eq!(
            rng.next_u64(),
            u64::from_le_bytes(expected.try_into().unwrap())
        );
    }
}

#[test]
fn tutorial_split_is_numpys() {
    let split = Split::tutorial(7390, &[3017, 3425]);
    assert_eq!(split.train.len(), 5173);
    assert_eq!(split.val.len(), 2215);
    assert_eq!(split.train, indices("split/train"));
    assert_eq!(split.val, indices("split/val"));
}

#[test]
fn random_split_is_frozen() {
    let split = Split::random(10, 0.7, 42).unwrap();
    assert_eq!(split, Split::random(10, 0.7, 42).unwrap());
    assert_ne!(split, Split::random(10, 0.7, 43).unwrap());
    assert_eq!(
        (split.train.as_slice(), split.val.as_slice()),
        (FROZEN_TRAIN, FROZEN_VAL)
    );
}

const FROZEN_TRAIN: &[usize] = &[1, 0, 8, 2, 3, 5, 6];
const FROZEN_VAL: &[usize] = &[9, 7, 4];

#[test]
fn random_split_refuses_what_is_no_fraction() {
    for fraction in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(
            Split::random(3, fraction, 0),
            Err(Error::Fraction(_))
        ));
    }
}

proptest! {
    #[test]
    fn random_split_deals_every_sample_once(len in 0_usize..500, fraction in 0.0..=1.0, seed: u64) {
        let split = Split::random(len, fraction, seed).unwrap();
        prop_assert_eq!(split.train.len(), (fraction * len as f64).round() as usize);
        let all: BTreeSet<_> = split.train.iter().chain(&split.val).copied().collect();
        prop_assert_eq!(split.train.len() + split.val.len(), len);
        prop_assert_eq!(all, (0..len).collect());
    }
}
