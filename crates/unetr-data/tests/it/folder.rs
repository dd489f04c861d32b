use std::path::Path;

use image::{GrayImage, Luma, RgbImage};
use unetr_data::{ClassMap, Dataset, Error, FolderConfig, FolderDataset, Subset};

/// Photos `b.png`, `a-1.jpg`, `a.png` of 4x3 with masks that hold 7 and, at (1, 2), 9.
fn write_pairs(root: &Path) {
    for folder in ["photos", "masks"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    let mask = GrayImage::from_fn(4, 3, |x, y| Luma([if (x, y) == (1, 2) { 9 } else { 7 }]));
    for (name, extension) in [("b", "png"), ("a-1", "jpg"), ("a", "PNG")] {
        let photo = root.join(format!("photos/{name}.{extension}"));
        RgbImage::new(4, 3).save(photo).unwrap();
        mask.save(root.join(format!("masks/{name}.bmp"))).unwrap();
    }
    std::fs::write(root.join("photos/notes.txt"), "not a photo").unwrap();
    std::fs::write(root.join("masks/._a.bmp"), "AppleDouble").unwrap();
    std::fs::create_dir(root.join("masks/old.bmp")).unwrap();
}

fn open(root: &Path, classes: ClassMap) -> unetr_data::Result<FolderDataset> {
    FolderDataset::open(
        root.join("photos"),
        root.join("masks"),
        &FolderConfig::new(classes),
    )
}

#[test]
fn pairs_by_stem_and_maps_classes() {
    let root = tempfile::tempdir().unwrap();
    write_pairs(root.path());
    let data = open(root.path(), ClassMap::new([(7, 0), (8, 1)]).ignore(9)).unwrap();
    assert_eq!(data.names(), ["a-1", "a", "b"]);
    assert_eq!((data.len(), data.num_classes()), (3, 2));
    let sample = data.get(2).unwrap();
    assert_eq!(sample.name, "b");
    assert_eq!(sample.mask.get_pixel(0, 0).0, [0]);
    assert_eq!(sample.mask.get_pixel(1, 2).0, [9]);
    assert!(matches!(
        data.get(3),
        Err(Error::Index { index: 3, len: 3 })
    ));
}

#[test]
fn values_are_mapped_to_the_ignored_label() {
    let root = tempfile::tempdir().unwrap();
    write_pairs(root.path());
    let pixel = |classes: ClassMap| {
        let sample = open(root.path(), classes).unwrap().get(0).unwrap();
        (
            sample.mask.get_pixel(1, 2).0[0],
            sample.mask.get_pixel(0, 0).0[0],
        )
    };
    // The ignored value is the number of a class.
    let classes = ClassMap::new((0..9).map(|value| (value, value)).chain([(10, 9)]));
    assert_eq!(pixel(classes.clone().ignore_values([9])), (255, 7));
    assert_eq!(pixel(classes.ignore(200).ignore_values([9])), (200, 7));
}

#[test]
fn a_stray_value_names_file_place_and_expectation() {
    let root = tempfile::tempdir().unwrap();
    write_pairs(root.path());
    let data = open(root.path(), ClassMap::new([(7, 0), (8, 1)])).unwrap();
    let message = data.get(1).unwrap_err().to_string();
    assert!(
        message.contains("a.bmp: mask value 9 at column 1, row 2"),
        "{message}"
    );
    assert!(message.contains("one of 7, 8"), "{message}");
}

#[test]
fn files_without_partner_are_listed() {
    let root = tempfile::tempdir().unwrap();
    write_pairs(root.path());
    std::fs::remove_file(root.path().join("masks/b.bmp")).unwrap();
    let message = open(root.path(), ClassMap::identity(10))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("1 photo(s) without a partner: b.png"),
        "{message}"
    );
    std::fs::remove_file(root.path().join("photos/b.png")).unwrap();
    for i in 0..7 {
        std::fs::write(root.path().join(format!("masks/x{i}.png")), "").unwrap();
    }
    let message = open(root.path(), ClassMap::identity(10))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("7 mask(s) without a partner: x0.png, x1.png"),
        "{message}"
    );
    assert!(
        message.contains("x4.png, …;") && !message.contains("x5.png"),
        "{message}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn only_names_of_photos_have_to_be_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let root = tempfile::tempdir().unwrap();
    write_pairs(root.path());
    let photos = root.path().join("photos");
    std::fs::write(photos.join(OsStr::from_bytes(b"\xE9.txt")), "notes").unwrap();
    open(root.path(), ClassMap::identity(10)).unwrap();
    std::fs::write(photos.join(OsStr::from_bytes(b"\xE9.jpg")), "").unwrap();
    let message = open(root.path(), ClassMap::identity(10))
        .unwrap_err()
        .to_string();
    assert!(message.contains("not UTF-8; rename it"), "{message}");
}

#[test]
fn two_files_of_one_stem_and_empty_folders_are_errors() {
    let root = tempfile::tempdir().unwrap();
    write_pairs(root.path());
    std::fs::write(root.path().join("photos/b.jpg"), "").unwrap();
    let message = open(root.path(), ClassMap::identity(10))
        .unwrap_err()
        .to_string();
    assert!(message.contains("both b.jpg and b.png"), "{message}");

    let empty = tempfile::tempdir().unwrap();
    let cfg = FolderConfig::new(ClassMap::identity(2));
    let error = FolderDataset::open(empty.path(), root.path().join("masks"), &cfg).unwrap_err();
    assert!(matches!(error, Error::Layout { .. }));
    let error = FolderDataset::open("/nowhere", root.path().join("masks"), &cfg).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere: "), "{error}");
}

#[test]
fn subset_keeps_its_order_and_checks_its_indices() {
    let root = tempfile::tempdir().unwrap();
    write_pairs(root.path());
    let data = open(root.path(), ClassMap::identity(10)).unwrap();
    let error = Subset::new(data.clone(), vec![0, 3]).unwrap_err();
    assert!(matches!(error, Error::Index { index: 3, len: 3 }));
    let subset = Subset::new(data, vec![2, 0, 2]).unwrap();
    assert_eq!(
        (0..3).map(|i| subset.name(i)).collect::<Vec<_>>(),
        ["b", "a-1", "b"]
    );
    assert_eq!(subset.get(0).unwrap().name, "b");
    assert!(matches!(
        subset.get(3),
        Err(Error::Index { index: 3, len: 3 })
    ));
}
