use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;
use unetr_data::{
    ClassMap, Classes, CsvConfig, CsvDataset, Dataset, Error, MaskCoding, OxfordPets,
};

fn config() -> CsvConfig {
    CsvConfig::new(Classes::named(["background", "road"]).unwrap())
}

/// Photos `a.png` and `b, c.png` with masks of class 1 but for an ignored pixel, and this list.
fn folder(list: &[u8]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in ["a", "b, c"] {
        RgbImage::new(4, 3)
            .save(root.path().join(format!("{name}.png")))
            .unwrap();
        let class = |x, y| Luma([if (x, y) == (3, 2) { 255 } else { 1 }]);
        let mask = GrayImage::from_fn(4, 3, class);
        mask.save(root.path().join(format!("{name}_mask.png")))
            .unwrap();
    }
    fs::write(root.path().join("list.csv"), list).unwrap();
    root
}

fn open(root: &Path, cfg: &CsvConfig) -> unetr_data::Result<CsvDataset> {
    CsvDataset::open(root.join("list.csv"), cfg)
}

#[test]
fn lists_in_many_hands_are_read() {
    let lists = [
        "image,mask\na.png,a_mask.png\n\"b, c.png\",\"b, c_mask.png\"\n",
        // A byte order mark, Windows' line ends, blanks, further columns and empty lines.
        "\u{feff}id,mask,image\r\n1, a_mask.png ,a.png\r\n\r\n2,\"b, c_mask.png\",\"b, c.png\"\r\n\r\n",
    ];
    for list in lists {
        let root = folder(list.as_bytes());
        let data = open(root.path(), &config()).unwrap();
        assert_eq!((data.len(), data.classes().len()), (2, 2));
        assert_eq!([data.name(0), data.name(1)], ["a", "b, c"]);
        let sample = data.get(1).unwrap();
        assert_eq!(sample.name, "b, c");
        assert_eq!((sample.mask[(0, 0)].0, sample.mask[(3, 2)].0), ([1], [255]));
        assert!(matches!(
            data.get(2),
            Err(Error::Index { index: 2, len: 2 })
        ));
    }
}

#[test]
fn folders_tell_files_of_one_name_apart() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["one", "two"] {
        let folder = root.path().join(folder);
        fs::create_dir(&folder).unwrap();
        RgbImage::new(4, 3).save(folder.join("image.png")).unwrap();
        GrayImage::new(4, 3).save(folder.join("mask.png")).unwrap();
    }
    let of = |lines: [&str; 2]| {
        let list = format!("image,mask\n{}\n{}\n", lines[0], lines[1]);
        fs::write(root.path().join("list.csv"), list).unwrap();
        open(root.path(), &config()).unwrap()
    };
    let (one, two) = ("one/image.png,one/mask.png", "two/image.png,two/mask.png");
    let (data, other) = (of([one, two]), of([two, one]));
    assert_eq!([data.name(0), data.name(1)], ["one/image", "two/image"]);
    assert_eq!([other.name(0), other.name(1)], ["two/image", "one/image"]);
    assert_ne!(data.fingerprint().unwrap(), other.fingerprint().unwrap());
}

#[test]
fn columns_root_and_values_are_ones_own() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/oxford_pets_sample");
    let root = folder(b"photo,trimap\nimages/pug_112.jpg,annotations/trimaps/pug_112.png\n");
    let cfg = CsvConfig {
        masks: MaskCoding::Values(ClassMap::new([(1, 0), (2, 1), (3, 2)])),
        image_column: "photo".into(),
        mask_column: "trimap".into(),
        root: Some(assets.clone()),
        ..CsvConfig::new(OxfordPets::classes())
    };
    let pets = OxfordPets::open(assets).unwrap();
    let index = pets
        .names()
        .iter()
        .position(|name| name == "pug_112")
        .unwrap();
    assert_eq!(
        open(root.path(), &cfg).unwrap().get(0).unwrap(),
        pets.get(index).unwrap()
    );
}

#[test]
fn masks_of_colours_are_read() {
    let root = folder(b"image,mask\na.png,a_mask.png\n");
    let mut colours = RgbImage::from_pixel(4, 3, Rgb([9, 8, 7]));
    colours.put_pixel(1, 2, Rgb([0, 0, 0]));
    let path = root.path().join("a_mask.png");
    colours.save(&path).unwrap();
    let cfg = CsvConfig {
        classes: Classes::new([("void", [0; 3]), ("road", [9, 8, 7])]).unwrap(),
        masks: MaskCoding::Colours,
        ..config()
    };
    let data = open(root.path(), &cfg).unwrap();
    let mask = data.get(0).unwrap().mask;
    assert_eq!((mask[(0, 0)].0, mask[(1, 2)].0), ([1], [0]));

    RgbImage::new(3, 4).save(&path).unwrap();
    let message = data.get(0).unwrap_err().to_string();
    assert!(
        message.contains("a.png is 4x3") && message.contains("a_mask.png is 3x4"),
        "{message}"
    );
}

#[test]
fn a_broken_list_is_an_error_with_its_line() {
    let broken: [(&[u8], usize, &str); 9] = [
        (b"", 1, "no column `image`"),
        (
            b"image,masks\na.png,a_mask.png\n",
            1,
            "no column `mask` but [\"image\", \"masks\"]",
        ),
        (
            b"image;mask\na.png;a_mask.png\n",
            1,
            "no column `image` but [\"image;mask\"]",
        ),
        (b"\n\nimage,masks\n", 3, "no column `mask`"),
        (b"image,mask\n\n\r\n", 1, "no sample"),
        (
            b"image,mask\n\na.png,a_mask.png\n\r\n\na.png\n",
            6,
            "there are 1 values; expected 2",
        ),
        (
            b"image,mask\na.png,a_mask.png\na.png, \n",
            3,
            "`mask` is empty",
        ),
        (
            b"image,mask\na.png,a_mask.png\n\n\nd.png,a_mask.png",
            5,
            "d.png; restore it",
        ),
        (b"image,mask\na.png,\xFF\xFE\n", 2, "not UTF-8"),
    ];
    for (list, line, problem) in broken {
        let root = folder(list);
        let message = open(root.path(), &config()).unwrap_err().to_string();
        let place = format!("{}, line {line}: ", root.path().join("list.csv").display());
        assert!(
            message.starts_with(&place) && message.contains(problem),
            "{message}"
        );
    }
    let root = folder(b"image,mask\na.png,\"never ends\n");
    assert!(open(root.path(), &config()).is_err());
    let message = CsvDataset::open("/nowhere/list.csv", &config())
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("/nowhere/list.csv: "), "{message}");
}

#[test]
fn what_is_wrong_with_a_file_is_an_error_of_its_sample() {
    let root = folder(b"image,mask\na.png,a_mask.png\na_mask.png,a.png\n");
    fs::write(root.path().join("a.png"), "no photo").unwrap();
    let data = open(root.path(), &config()).unwrap();
    for index in [0, 1] {
        let message = data.get(index).unwrap_err().to_string();
        assert!(message.contains("a.png: cannot decode"), "{message}");
    }
}

#[test]
fn classes_and_map_must_agree() {
    let root = folder(b"image,mask\na.png,a_mask.png\n");
    let cfg = CsvConfig {
        masks: MaskCoding::Values(ClassMap::identity(3)),
        ..config()
    };
    let message = open(root.path(), &cfg).unwrap_err().to_string();
    assert_eq!(
        message,
        "class map: it has 3 classes but 2 are named; expected as many"
    );
}

#[test]
fn config_is_plain_data() {
    let json = r#"{"classes": {"classes": [{"name": "background"}, {"name": "road"}]}}"#;
    assert_eq!(serde_json::from_str::<CsvConfig>(json).unwrap(), config());
    let json =
        r#"{"classes": {"classes": [{"name": "a"}]}, "masks": {"values": {"classes": {"7": 0}}}}"#;
    let cfg: CsvConfig = serde_json::from_str(json).unwrap();
    assert_eq!(cfg.masks, MaskCoding::Values(ClassMap::new([(7, 0)])));
    assert!(serde_json::from_str::<CsvConfig>(r#"{"classes": {"classes": []}}"#).is_err());
}

#[test]
fn the_fingerprint_follows_files_and_meaning() {
    let root = folder(b"image,mask\na.png,a_mask.png\n");
    let print = |cfg: &CsvConfig| {
        open(root.path(), cfg)
            .unwrap()
            .fingerprint()
            .unwrap()
            .unwrap()
    };
    let first = print(&config());
    assert_eq!(first, print(&config()));
    let masks = MaskCoding::Colours;
    assert_ne!(first, print(&CsvConfig { masks, ..config() }));
    GrayImage::new(40, 30)
        .save(root.path().join("a_mask.png"))
        .unwrap();
    assert_ne!(first, print(&config()));
}
