//! The sample of Oxford Pets in `assets/` is whole, readable and of the official layout.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use unetr::data::{Dataset, OxfordPets};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/oxford_pets_sample");

#[test]
fn every_pair_is_readable() {
    let pets = OxfordPets::open(SAMPLE).unwrap();
    assert_eq!(pets.len(), 555);
    for index in 0..pets.len() {
        let sample = pets.get(index).unwrap();
        let (width, height) = sample.image.dimensions();
        assert_eq!(sample.mask.dimensions(), (width, height), "{}", sample.name);
        assert_eq!(width.min(height), 160, "{}", sample.name);
        let classes: BTreeSet<u8> = sample.mask.iter().copied().collect();
        assert_eq!(classes, BTreeSet::from([0, 1, 2]), "{}", sample.name);
    }
}

#[test]
fn the_official_lists_divide_all_of_it() {
    let pets = OxfordPets::open(SAMPLE).unwrap();
    let split = pets.official_split().unwrap();
    assert_eq!((split.train.len(), split.val.len()), (444, 111));
    let both: BTreeSet<usize> = split.train.iter().chain(&split.val).copied().collect();
    assert_eq!(both.len(), pets.len());
}

#[test]
fn all_breeds_are_there_in_equal_numbers() {
    let pets = OxfordPets::open(SAMPLE).unwrap();
    let split = pets.official_split().unwrap();
    for (part, per_breed) in [(split.train, 12), (split.val, 3)] {
        let mut breeds = BTreeMap::<&str, usize>::new();
        for index in part {
            *breeds
                .entry(OxfordPets::breed(&pets.names()[index]))
                .or_default() += 1;
        }
        assert_eq!(breeds.len(), 37);
        assert!(
            breeds.values().all(|&count| count == per_breed),
            "{breeds:?}"
        );
    }
}

#[test]
fn no_photo_is_one_of_the_corrupt() {
    // `open` leaves those out, so that the folder would hold more than the data set.
    let pets = OxfordPets::open(SAMPLE).unwrap();
    let photos = std::fs::read_dir(format!("{SAMPLE}/images")).unwrap();
    assert_eq!(photos.count(), pets.len());
}
