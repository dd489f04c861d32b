use std::fs::{self, File};
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;
use unetr_data::{Classes, Dataset, Error, MaskCoding, VocConfig, VocDataset, read_colour_mask};

/// A palette PNG in Pascal VOC's colours, as the official masks are.
fn write_palette(path: &Path, mask: &GrayImage) {
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), mask.width(), mask.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(
        (0..=255)
            .flat_map(Classes::default_colour)
            .collect::<Vec<_>>(),
    );
    encoder
        .write_header()
        .unwrap()
        .write_image_data(mask)
        .unwrap();
}

fn write_colours(path: &Path, mask: &GrayImage) {
    let colour = |x, y| Rgb(Classes::default_colour(mask[(x, y)].0[0]));
    RgbImage::from_fn(mask.width(), mask.height(), colour)
        .save(path)
        .unwrap();
}

/// All 21 classes and ignored pixels.
fn mask() -> GrayImage {
    GrayImage::from_fn(11, 2, |x, y| {
        let class = (11 * y + x) as u8;
        Luma([if class == 21 { 255 } else { class }])
    })
}

fn devkit() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let folders = [
        "JPEGImages",
        "SegmentationClass",
        "SegmentationRgb",
        "ImageSets/Segmentation",
    ];
    for folder in folders {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    for name in ["2007_000032", "2007_000033", "2007_000039"] {
        RgbImage::new(11, 2)
            .save(root.path().join(format!("JPEGImages/{name}.jpg")))
            .unwrap();
        write_palette(
            &root.path().join(format!("SegmentationClass/{name}.png")),
            &mask(),
        );
        write_colours(
            &root.path().join(format!("SegmentationRgb/{name}.png")),
            &mask(),
        );
    }
    let lists = root.path().join("ImageSets/Segmentation");
    // With a byte order mark, as some editors write.
    fs::write(
        lists.join("train.txt"),
        "\u{feff}2007_000039\n2007_000032\n",
    )
    .unwrap();
    fs::write(lists.join("val.txt"), "2007_000033 \r\n\r\n").unwrap();
    root
}

fn open(root: &TempDir, list: &str) -> unetr_data::Result<VocDataset> {
    VocDataset::open(root.path(), list, &VocConfig::default())
}

fn colours() -> VocConfig {
    VocConfig {
        masks: MaskCoding::Colours,
        mask_folder: "SegmentationRgb".into(),
        ..VocConfig::default()
    }
}

#[test]
fn lists_are_read_in_their_order() {
    let root = devkit();
    let train = open(&root, "train").unwrap();
    assert_eq!(train.names(), ["2007_000039", "2007_000032"]);
    assert_eq!(train.classes().len(), 21);
    let sample = train.get(1).unwrap();
    assert_eq!(
        (sample.name, train.name(1)),
        ("2007_000032".into(), "2007_000032".into())
    );
    assert_eq!(sample.mask, mask());
    assert!(matches!(
        train.get(2),
        Err(Error::Index { index: 2, len: 2 })
    ));
    assert_eq!(open(&root, "val").unwrap().names(), ["2007_000033"]);
}

#[test]
fn masks_saved_in_colours_are_the_same() {
    let root = devkit();
    let rgb = VocDataset::open(root.path(), "train", &colours()).unwrap();
    assert_eq!(
        rgb.get(0).unwrap(),
        open(&root, "train").unwrap().get(0).unwrap()
    );
    // A palette is looked up where colours are asked for.
    let file = root.path().join("SegmentationClass/2007_000032.png");
    assert_eq!(read_colour_mask(file, rgb.classes()).unwrap(), mask());
    // Indices are asked for where there are colours.
    let cfg = VocConfig {
        masks: MaskCoding::Indices,
        ..colours()
    };
    let error = VocDataset::open(root.path(), "train", &cfg)
        .unwrap()
        .get(0)
        .unwrap_err();
    assert!(matches!(error, Error::MaskFormat { .. }), "{error}");
}

#[test]
fn a_strange_colour_names_pixel_and_colour() {
    let root = devkit();
    let path = root.path().join("SegmentationRgb/2007_000039.png");
    let mut image = image::open(&path).unwrap().into_rgb8();
    image.put_pixel(7, 1, Rgb([1, 2, 3]));
    image.save(&path).unwrap();
    let data = VocDataset::open(root.path(), "train", &colours()).unwrap();
    let error = data.get(0).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MaskColour {
                colour: [1, 2, 3],
                x: 7,
                y: 1,
                ..
            }
        ),
        "{error}"
    );
    let message = error.to_string();
    assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    assert!(
        message.contains("the colour [1, 2, 3] at column 7, row 1"),
        "{message}"
    );
    assert!(
        message.contains("[224, 224, 192] ignored pixels"),
        "{message}"
    );

    let twins = Classes::new([("a", [1; 3]), ("b", [2; 3])])
        .unwrap()
        .ignore([1; 3]);
    let message = read_colour_mask(&path, &twins).unwrap_err().to_string();
    assert!(
        message.contains("the colour [1, 1, 1] of ignored pixels is also another's"),
        "{message}"
    );
    let message = read_colour_mask("/nowhere.png", &colours().classes)
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("/nowhere.png: "), "{message}");
}

#[test]
fn what_is_missing_is_found_at_once() {
    let problem = |root: &TempDir| open(root, "train").unwrap_err().to_string();
    let root = devkit();
    let message = open(&root, "test").unwrap_err().to_string();
    assert!(
        message.contains("ImageSets/Segmentation/test.txt: "),
        "{message}"
    );
    fs::write(root.path().join("ImageSets/Segmentation/train.txt"), "\n").unwrap();
    assert!(problem(&root).contains("train.txt names no photo; expected JPEGImages/NAME.jpg"));
    fs::write(
        root.path().join("ImageSets/Segmentation/train.txt"),
        "2007_1\n",
    )
    .unwrap();
    assert!(problem(&root).contains("`2007_1` is listed but not among the images"));
    fs::write(
        root.path().join("ImageSets/Segmentation/train.txt"),
        "../up\n",
    )
    .unwrap();
    assert!(problem(&root).contains("`../up` is listed"));

    let root = devkit();
    fs::remove_file(root.path().join("SegmentationClass/2007_000032.png")).unwrap();
    let message = problem(&root);
    assert!(
        message.contains("1 listed photo(s) without a partner: 2007_000032"),
        "{message}"
    );
    fs::remove_dir_all(root.path().join("SegmentationClass")).unwrap();
    assert!(problem(&root).contains("there is no folder"));
}

#[test]
fn broken_files_are_errors_of_their_samples() {
    let root = devkit();
    let masks = root.path().join("SegmentationClass");
    write_palette(
        &masks.join("2007_000039.png"),
        &GrayImage::from_pixel(11, 2, Luma([21])),
    );
    write_palette(&masks.join("2007_000032.png"), &GrayImage::new(2, 11));
    fs::write(masks.join("2007_000033.png"), "no mask").unwrap();
    let train = open(&root, "train").unwrap();
    let error = train.get(0).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MaskValue {
                value: 21,
                x: 0,
                y: 0,
                ..
            }
        ),
        "{error}"
    );
    let error = train.get(1).unwrap_err();
    assert!(matches!(error, Error::SizeMismatch { .. }), "{error}");
    let error = open(&root, "val").unwrap().get(0).unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error}");
}

#[test]
fn config_is_plain_data() {
    let cfg = colours();
    let json = serde_json::to_string(&cfg).unwrap();
    assert_eq!(serde_json::from_str::<VocConfig>(&json).unwrap(), cfg);
    assert_eq!(
        serde_json::from_str::<VocConfig>("{}").unwrap(),
        VocConfig::default()
    );
    assert!(serde_json::from_str::<VocConfig>(r#"{"mask_folders": ""}"#).is_err());
}

#[test]
fn the_fingerprint_follows_the_list() {
    let root = devkit();
    let print = |list| open(&root, list).unwrap().fingerprint().unwrap().unwrap();
    assert_eq!(print("train"), print("train"));
    assert_ne!(print("train"), print("val"));
}
