//! Any bytes are a list of Pascal VOC and of Oxford-IIIT Pet or an error, and name what is there.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use unetr_data::{Dataset, OxfordPets, VocConfig, VocDataset};

const FILES: [&str; 4] = [
    "JPEGImages/a.jpg",
    "SegmentationClass/a.png",
    "images/Abyssinian_1.jpg",
    "annotations/trimaps/Abyssinian_1.png",
];
const LISTS: [&str; 3] =
    ["ImageSets/Segmentation/train.txt", "annotations/trainval.txt", "annotations/test.txt"];

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("the disk can be written");
    let contents = FILES.map(|file| (file, &[][..])).into_iter();
    for (file, content) in contents.chain(LISTS.map(|list| (list, bytes))) {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
        fs::write(path, content).expect("the disk can be written");
    }
    if let Ok(voc) = VocDataset::open(folder.path(), "train", &VocConfig::default()) {
        assert!(voc.names().iter().all(|name| name == "a"));
    }
    let pets = OxfordPets::open(folder.path()).expect("it is laid out as the archives are");
    if let Ok(split) = pets.official_split() {
        assert!(split.train.iter().chain(&split.val).all(|&index| index < pets.len()));
    }
});
