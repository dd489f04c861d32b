use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, RgbImage};
use unetr_data::{
    CORRUPT_PETS, Dataset, Error, ExifOrientation, Image, OxfordPets, OxfordPetsConfig, Split,
};

use crate::fixtures::{copy_folder, fixture, indices};

/// Writes empty files under these names; enough to open a data set, not to read it.
fn write_names(root: &Path, names: &[String]) {
    fs::create_dir_all(root.join("images")).unwrap();
    fs::create_dir_all(root.join("annotations/trimaps")).unwrap();
    for name in names {
        fs::write(root.join(format!("images/{name}.jpg")), "").unwrap();
        fs::write(root.join(format!("annotations/trimaps/{name}.png")), "").unwrap();
    }
}

#[test]
fn odd_files_are_read() {
    let pets = OxfordPets::open(fixture("odd")).unwrap();
    let expected = [
        ("Abyssinian_17", (275, 411)),
        ("Abyssinian_180", (400, 353)),
        ("Abyssinian_34", (250, 202)),
        ("Abyssinian_5", (200, 150)),
        ("Abyssinian_63", (150, 116)),
        ("Bengal_146", (200, 200)),
        ("Egyptian_Mau_138", (448, 336)),
    ];
    assert_eq!(pets.names(), expected.map(|(name, _)| name));
    for (index, (name, size)) in expected.into_iter().enumerate() {
        let sample = pets.get(index).unwrap();
        assert_eq!(sample.name, name);
        assert_eq!(pets.name(index), name);
        assert_eq!(sample.image.dimensions(), size, "{name}");
        assert_eq!(sample.mask.dimensions(), size, "{name}");
        assert!(matches!(sample.image, Image::U8(_)));
        let classes: Vec<_> = (0..4)
            .filter(|c| sample.mask.pixels().any(|p| p.0 == [*c]))
            .collect();
        // The cat of Abyssinian_34 was never traced: its trimap is all background.
        let all: &[u8] = if name == "Abyssinian_34" {
            &[1]
        } else {
            &[0, 1, 2]
        };
        assert_eq!(classes, all, "{name}");
    }
}

#[test]
fn names_are_sorted_as_python_sorts_paths() {
    let root = tempfile::tempdir().unwrap();
    let names = ["a_10", "a_1", "B_2", "a_1-b", "a_100", "a_2", "B_10"].map(String::from);
    write_names(root.path(), &names);
    // Neither does Python's glob find these, case being told apart.
    for other in ["a_3.JPG", "a_3.jpeg", ".jpg"] {
        fs::write(root.path().join("images").join(other), "").unwrap();
    }
    // sorted(Path(f"{name}.jpg") for name in names)
    let pets = OxfordPets::open(root.path()).unwrap();
    assert_eq!(
        pets.names(),
        ["B_10", "B_2", "a_1-b", "a_1", "a_10", "a_100", "a_2"]
    );
}

#[test]
fn official_split_follows_the_lists() {
    let pets = OxfordPets::open(fixture("odd")).unwrap();
    let split = pets.official_split().unwrap();
    let names = |part: &[usize]| part.iter().map(|&i| pets.name(i)).collect::<Vec<_>>();
    assert_eq!(
        names(&split.train),
        [
            "Egyptian_Mau_138",
            "Abyssinian_17",
            "Abyssinian_180",
            "Bengal_146"
        ]
    );
    assert_eq!(names(&split.val), ["Abyssinian_5"]);
}

#[test]
fn a_listed_name_without_photo_is_an_error_unless_excluded() {
    let root = tempfile::tempdir().unwrap();
    copy_folder(&fixture("odd"), root.path());
    fs::remove_file(root.path().join("images/Abyssinian_5.jpg")).unwrap();
    let message = OxfordPets::open(root.path())
        .unwrap()
        .official_split()
        .unwrap_err()
        .to_string();
    assert!(message.contains("`Abyssinian_5` is listed"), "{message}");
    let cfg = OxfordPetsConfig::default().exclude(["Abyssinian_5"]);
    OxfordPets::open_with(root.path(), &cfg)
        .unwrap()
        .official_split()
        .unwrap();
}

/// On a data set of the official size, with the corrupt names at their official places, the
/// split is the fixture's, whether they are excluded or not.
#[test]
fn tutorial_split_is_the_same_with_and_without_exclusion() {
    let root = tempfile::tempdir().unwrap();
    let mut names: Vec<_> = (0..7390).map(|i| format!("Cat_{i:04}")).collect();
    for (place, corrupt) in [3017, 3425].into_iter().zip(CORRUPT_PETS) {
        // Names that sort to these places: "Cat" < "beagle" < "chihuahua" < "dog".
        names[place] = corrupt.into();
    }
    for name in &mut names[3018..3425] {
        *name = name.replace("Cat", "bengal");
    }
    for name in &mut names[3426..] {
        *name = name.replace("Cat", "dog");
    }
    write_names(root.path(), &names);

    let whole = OxfordPetsConfig {
        exclude: Vec::new(),
        ..OxfordPetsConfig::default()
    };
    let whole = OxfordPets::open_with(root.path(), &whole).unwrap();
    assert_eq!(whole.names(), names);
    let expected = Split {
        train: indices("split/train"),
        val: indices("split/val"),
    };
    assert_eq!(whole.tutorial_split(), expected);

    let pets = OxfordPets::open(root.path()).unwrap();
    assert_eq!(pets.len(), 7388);
    let split = pets.tutorial_split();
    let named = |indices: &[usize], from: &OxfordPets| {
        indices.iter().map(|&i| from.name(i)).collect::<Vec<_>>()
    };
    assert_eq!(named(&split.train, &pets), named(&expected.train, &whole));
    assert_eq!(named(&split.val, &pets), named(&expected.val, &whole));
}

#[test]
fn missing_data_says_what_is_expected_and_how_to_get_it() {
    let empty = tempfile::tempdir().unwrap();
    for root in [empty.path().join("nowhere"), empty.path().to_path_buf()] {
        let message = OxfordPets::open(&root).unwrap_err().to_string();
        assert!(message.contains("there is no folder"), "{message}");
        assert!(
            message.contains("annotations/trimaps/NAME.png"),
            "{message}"
        );
        assert!(message.contains("download_oxford_pets"), "{message}");
    }
    write_names(empty.path(), &[]);
    let message = OxfordPets::open(empty.path()).unwrap_err().to_string();
    assert!(message.contains("no photo in images/"), "{message}");
}

#[test]
fn a_photo_without_mask_is_an_error_unless_excluded() {
    let root = tempfile::tempdir().unwrap();
    copy_folder(&fixture("odd"), root.path());
    fs::remove_file(root.path().join("annotations/trimaps/Bengal_146.png")).unwrap();
    let message = OxfordPets::open(root.path()).unwrap_err().to_string();
    assert!(
        message.contains("1 photo(s) without a partner: Bengal_146"),
        "{message}"
    );
    let cfg = OxfordPetsConfig::default().exclude(["Bengal_146"]);
    assert_eq!(OxfordPets::open_with(root.path(), &cfg).unwrap().len(), 6);
}

#[test]
fn stray_values_and_wrong_sizes_are_errors_of_get() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_names(root, &["stray_1".into(), "turned_1".into()]);
    RgbImage::new(4, 3)
        .save(root.join("images/stray_1.jpg"))
        .unwrap();
    RgbImage::new(4, 3)
        .save(root.join("images/turned_1.jpg"))
        .unwrap();
    let mask = |x, y| Luma([if (x, y) == (2, 1) { 0 } else { 1 }]);
    let masks = root.join("annotations/trimaps");
    GrayImage::from_fn(4, 3, mask)
        .save(masks.join("stray_1.png"))
        .unwrap();
    GrayImage::from_pixel(3, 4, Luma([1]))
        .save(masks.join("turned_1.png"))
        .unwrap();

    let pets = OxfordPets::open(root).unwrap();
    let error = pets.get(0).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MaskValue {
                value: 0,
                x: 2,
                y: 1,
                ..
            }
        ),
        "{error}"
    );
    let message = error.to_string();
    assert!(
        message.contains("stray_1.png") && message.contains("one of 1, 2, 3"),
        "{message}"
    );

    let message = pets.get(1).unwrap_err().to_string();
    for part in ["turned_1.jpg is 4x3", "turned_1.png is 3x4"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn config_is_plain_data() {
    let cfg: OxfordPetsConfig = serde_json::from_str(r#"{"orientation":"ignore"}"#).unwrap();
    assert_eq!(cfg.orientation, ExifOrientation::Ignore);
    assert_eq!(cfg.exclude, CORRUPT_PETS);
    assert!(serde_json::from_str::<OxfordPetsConfig>(r#"{"excluded":[]}"#).is_err());
}
