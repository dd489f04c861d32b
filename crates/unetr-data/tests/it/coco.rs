use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, RgbImage};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use unetr_data::{CocoConfig, CocoDataset, Crowds, Dataset, Error, RunLengths};

/// A photo `a.png` of this size, and a file of annotations.
fn folder(width: u32, height: u32, json: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    RgbImage::new(width, height)
        .save(root.path().join("a.png"))
        .unwrap();
    fs::write(root.path().join("instances.json"), json).unwrap();
    root
}

fn open(root: &TempDir, cfg: &CocoConfig) -> unetr_data::Result<CocoDataset> {
    CocoDataset::open(root.path().join("instances.json"), root.path(), cfg)
}

/// Annotations of the one photo: category, segmentation and whether it is a crowd.
fn annotations(width: u32, height: u32, regions: &[(i64, Value, u8)]) -> Value {
    let annotation = |(id, (category, segmentation, crowd)): (usize, &(i64, Value, u8))| {
        json!({
            "id": id, "image_id": 7, "category_id": category, "segmentation": segmentation,
            "iscrowd": crowd, "area": 1.5, "bbox": [0, 0, 1, 1],
        })
    };
    json!({
        "info": {"year": 2017},
        "images": [{"id": 7, "file_name": "a.png", "width": width, "height": height, "license": 1}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}, {"id": 90, "name": "brush"}],
        "annotations": regions.iter().enumerate().map(annotation).collect::<Vec<_>>(),
    })
}

fn mask_with(
    cfg: &CocoConfig,
    size: (u32, u32),
    regions: &[(i64, Value, u8)],
) -> unetr_data::Result<GrayImage> {
    let root = folder(
        size.0,
        size.1,
        &annotations(size.0, size.1, regions).to_string(),
    );
    open(&root, cfg)?.get(0).map(|sample| sample.mask)
}

/// The mask of regions of dogs, in turn with cats.
fn mask(
    size: (u32, u32),
    regions: impl IntoIterator<Item = Value>,
) -> unetr_data::Result<GrayImage> {
    let categories = [18, 17].into_iter().cycle();
    let regions: Vec<_> = regions
        .into_iter()
        .zip(categories)
        .map(|(r, id)| (id, r, 0))
        .collect();
    mask_with(&CocoConfig::default(), size, &regions)
}

fn rectangle([x0, y0, x1, y1]: [f64; 4]) -> Value {
    json!([[x0, y0, x1, y0, x1, y1, x0, y1]])
}

/// The run lengths of what is not 0, down one column after the other.
fn encode(mask: &GrayImage) -> Vec<u32> {
    let (mut lengths, mut inside) = (vec![0], false);
    for (x, y) in (0..mask.width()).flat_map(|x| (0..mask.height()).map(move |y| (x, y))) {
        if (mask[(x, y)].0 != [0]) != inside {
            inside = !inside;
            lengths.push(0);
        }
        *lengths.last_mut().unwrap() += 1;
    }
    lengths
}

/// Run lengths as text, as `rleToString` in COCO's `maskApi.c` has it.
fn pack(lengths: &[u32]) -> String {
    let mut text = String::new();
    for (i, &length) in lengths.iter().enumerate() {
        let mut rest = i64::from(length) - if i > 2 { i64::from(lengths[i - 2]) } else { 0 };
        loop {
            let bits = (rest & 0x1F) as u8;
            rest >>= 5;
            let last = rest == if bits & 0x10 == 0 { 0 } else { -1 };
            text.push(char::from(48 + bits + if last { 0 } else { 0x20 }));
            if last {
                break;
            }
        }
    }
    text
}

#[test]
fn regions_of_all_kinds_are_painted_in_turn() {
    let regions = [
        (18, rectangle([1., 1., 4., 3.]), 0),
        // (3, 0), (3, 1) and (4, 3)
        (17, json!({"size": [4, 5], "counts": [12, 2, 5, 1]}), 0),
        (90, json!({"size": [4, 5], "counts": pack(&[4, 1, 15])}), 1),
    ];
    let expected = [
        [0, 3, 0, 2, 0], //
        [0, 1, 1, 2, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 2],
    ];
    let painted = mask_with(&CocoConfig::default(), (5, 4), &regions).unwrap();
    assert_eq!(painted.as_raw(), &expected.concat());

    let cfg = CocoConfig {
        crowds: Crowds::Ignore,
        ..CocoConfig::default()
    };
    let painted = mask_with(&cfg, (5, 4), &regions).unwrap();
    assert_eq!(
        painted.as_raw(),
        &expected
            .concat()
            .iter()
            .map(|c| if *c == 3 { 255 } else { *c })
            .collect::<Vec<_>>()
    );

    // Dogs are background, cats are ignored, brushes are class 1.
    let cfg = CocoConfig {
        classes: Some([(18, 0), (17, 255), (90, 1)].into()),
        ..CocoConfig::default()
    };
    let painted = mask_with(&cfg, (5, 4), &regions).unwrap();
    assert_eq!(
        painted.as_raw(),
        &expected
            .concat()
            .iter()
            .map(|c| [0, 0, 255, 1][usize::from(*c)])
            .collect::<Vec<_>>()
    );
}

#[test]
fn photos_are_in_the_files_order_with_or_without_annotations() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("val")).unwrap();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/oxford_pets_sample");
    fs::copy(
        assets.join("images/pug_112.jpg"),
        root.path().join("val/pug.jpg"),
    )
    .unwrap();
    RgbImage::new(3, 2)
        .save(root.path().join("a.b.png"))
        .unwrap();
    let (width, height) = image::image_dimensions(assets.join("images/pug_112.jpg")).unwrap();
    let json = json!({
        "images": [
            {"id": 9, "file_name": "val/pug.jpg", "width": width, "height": height},
            {"id": -3, "file_name": "a.b.png", "width": 3, "height": 2},
        ],
        "categories": [{"id": 1, "name": "pug"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 1, "segmentation": rectangle([-9., 9.5, 1e6, 20.5])},
        ],
    });
    fs::write(root.path().join("instances.json"), json.to_string()).unwrap();
    let data = open(&root, &CocoConfig::default()).unwrap();
    assert_eq!(
        (data.len(), data.name(0), data.name(1)),
        (2, "pug".into(), "a.b".into())
    );
    assert_eq!(data.classes().names(), ["background", "pug"]);
    let sample = data.get(0).unwrap();
    assert_eq!(
        (sample.name.as_str(), sample.image.dimensions()),
        ("pug", (width, height))
    );
    let area = sample
        .mask
        .iter()
        .map(|class| u32::from(*class))
        .sum::<u32>();
    assert_eq!(area, 11 * width);
    assert_eq!(data.get(1).unwrap().mask, GrayImage::new(3, 2));
    assert!(matches!(
        data.get(2),
        Err(Error::Index { index: 2, len: 2 })
    ));
}

/// By pycocotools 2.0.11:
/// ```python
/// y, x = np.mgrid[:40, :60]
/// m = ((x - 30) ** 2 + (y - 20) ** 2 < 300) ^ (x % 7 == 3)
/// mask.encode(m.astype(np.uint8, order="F"))["counts"]
/// ```
#[test]
fn text_of_pycocotools_is_read() {
    let counts = "h3X1`70aKoNmM6K4L4DD>OAa062N2O0O2O0KUOm0OSOn030O2O00000MPOQ1OPOQ1201N10001NLVOk0OWOi0501N2N2N2NGG8OM2`0Jb4Q1P20";
    let painted = mask((60, 40), [json!({"size": [40, 60], "counts": counts})]).unwrap();
    let expected = GrayImage::from_fn(60, 40, |x, y| {
        let [dx, dy] = [x as i32 - 30, y as i32 - 20];
        Luma([u8::from((dx * dx + dy * dy < 300) ^ (x % 7 == 3))])
    });
    assert_eq!(painted, expected);
    assert_eq!(pack(&encode(&expected)), counts);
}

/// By pycocotools 2.0.11: `mask.frPyObjects([star], 40, 60)[0]["counts"]`. It rounds corners to fifths
/// of a pixel; pixels differ only where an edge passes the centre by less than that.
#[test]
fn polygons_are_nearly_those_of_pycocotools() {
    let star = [
        [30.5, 2.25],
        [36.13, 14.87],
        [50.01, 16.4],
        [39.6, 25.77],
        [42.9, 38.05],
        [30.4, 31.62],
        [18.2, 38.3],
        [21.15, 25.5],
        [10.75, 16.2],
        [24.6, 14.9],
    ];
    let counts = "X>1W11O1O001O1O1O1\\OJ38HL85BO?=0O1O10N1O2N1O2M2O22N2O2M2O1N2OO001O00EAN>1GK:3JK54`0O1O1O100O1OQ<";
    let ours = mask((60, 40), [json!([star.as_flattened()])]).unwrap();
    let theirs = mask((60, 40), [json!({"size": [40, 60], "counts": counts})]).unwrap();
    assert_eq!(theirs.iter().filter(|class| **class == 1).count(), 569);
    let pixels = ours.enumerate_pixels().zip(theirs.pixels());
    let differing: Vec<_> = pixels
        .filter(|((_, _, ours), theirs)| ours != theirs)
        .collect();
    assert_eq!(differing.len(), 6);
    for ((x, y, _), _) in differing {
        let distance = distance_to_outline(&star, [f64::from(x) + 0.5, f64::from(y) + 0.5]);
        assert!(distance < 0.2, "{x}, {y}: {distance}");
    }
}

fn distance_to_outline(corners: &[[f64; 2]], [x, y]: [f64; 2]) -> f64 {
    let edges = corners.iter().zip(corners.iter().cycle().skip(1));
    let distance = |(&[x0, y0], &[x1, y1]): (&[f64; 2], &[f64; 2])| {
        let (dx, dy) = (x1 - x0, y1 - y0);
        let along = ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy);
        let along = along.clamp(0.0, 1.0);
        f64::hypot(x0 + along * dx - x, y0 + along * dy - y)
    };
    edges.map(distance).fold(f64::INFINITY, f64::min)
}

#[test]
fn parts_of_a_region_add_up_and_loops_cut_out() {
    let two = json!([[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]]);
    let painted = mask((4, 3), [two]).unwrap();
    assert_eq!(
        painted.as_raw(),
        &[[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0]].concat()
    );
    // Out and back along one line, around the middle pixel.
    let ring = json!([[0, 0, 3, 0, 3, 3, 0, 3, 0, 0, 1, 1, 2, 1, 2, 2, 1, 2, 1, 1]]);
    let painted = mask((4, 3), [ring]).unwrap();
    assert_eq!(
        painted.as_raw(),
        &[[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]].concat()
    );
    // Nothing but an edge, and beyond the image.
    let painted = mask(
        (4, 3),
        [json!([[1, 1, 2, 1, 3, 1]]), rectangle([5., -9., 99., 99.])],
    )
    .unwrap();
    assert_eq!(painted, GrayImage::new(4, 3));
}

#[test]
fn a_region_that_cannot_be_is_an_error_of_its_sample() {
    let rle = |size: [u64; 2], counts: Value| json!({"size": size, "counts": counts});
    let broken = [
        (json!([]), "its segmentation is empty"),
        (json!([[]]), "a polygon has 0 coordinates"),
        (json!([[1, 1, 2, 2]]), "a polygon has 4 coordinates"),
        (json!([[1, 1, 2, 2, 3]]), "a polygon has 5 coordinates"),
        (
            json!([[1, 1, 2, 2, 3, 3, 4]]),
            "a polygon has 7 coordinates",
        ),
        (json!([[1, 1, 2, 2e300, 3, 1]]), "the coordinate 2000000"),
        (
            json!([[1, 1, 2, -2e6, 3, 1]]),
            "the coordinate -2000000; expected at most 1000000",
        ),
        (
            rle([4, 3], json!([12])),
            "run lengths are of 4x3 pixels; expected 3x4",
        ),
        (
            rle([4_000_000_000, 4_000_000_000], json!([1])),
            "expected 3x4",
        ),
        (rle([3, 4], json!([])), "add up to 0 pixels"),
        (
            rle([3, 4], json!([5, 6])),
            "add up to 11 pixels; expected 3x4",
        ),
        (rle([3, 4], json!([5, 8])), "add up to 13 pixels"),
        (
            rle([3, 4], json!([5, u32::MAX, u32::MAX])),
            "add up to 8589934595 pixels",
        ),
        (rle([3, 4], json!("")), "add up to 0 pixels"),
        (rle([3, 4], json!(pack(&[3, 3]))), "add up to 6 pixels"),
        (
            rle([3, 4], json!("4 ")),
            "a character other than `0` to `o` at byte 1",
        ),
        (rle([3, 4], json!("p")), "a character other than"),
        (rle([3, 4], json!("ä")), "a character other than"),
        (rle([3, 4], json!("3oo")), "ends inside of a number"),
        (
            rle([3, 4], json!("ooooooooooooo0")),
            "a number that is too large at byte 7",
        ),
        // -1, and 1 less 2.
        (rle([3, 4], json!("O")), "an impossible length at byte 0"),
        (rle([3, 4], json!("111N")), "an impossible length at byte 3"),
        (
            rle([3, 4], json!("oooooo?")),
            "an impossible length at byte 6",
        ),
    ];
    for (segmentation, problem) in broken {
        let sound = (18, rectangle([0., 0., 1., 1.]), 0);
        let regions = [sound, (17, segmentation.clone(), 0)];
        let root = folder(4, 3, &annotations(4, 3, &regions).to_string());
        let message = open(&root, &CocoConfig::default())
            .unwrap()
            .get(0)
            .unwrap_err()
            .to_string();
        let place = format!(
            "{}: annotation 1 of a.png: ",
            root.path().join("instances.json").display()
        );
        assert!(
            message.starts_with(&place) && message.contains(problem),
            "{segmentation}: {message}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_is_an_error_at_once() {
    let whole = annotations(4, 3, &[(18, rectangle([0., 0., 1., 1.]), 0)]);
    let change = |pointer: &str, value: Value| {
        let mut json = whole.clone();
        *json.pointer_mut(pointer).unwrap() = value;
        json.to_string()
    };
    let image = &whole["images"][0];
    let broken = [
        (String::new(), "EOF"),
        ("[1, 2]".into(), "this is no file of COCO annotations"),
        (
            whole.to_string()[..200].into(),
            "this is no file of COCO annotations",
        ),
        (
            whole.to_string().replace("1.0", "NaN"),
            "this is no file of COCO annotations",
        ),
        (whole.to_string().replace("1.0", "1e999"), "out of range"),
        (
            r#"{"images": [], "categories": []}"#.into(),
            "missing field `annotations`",
        ),
        (change("/images", json!([])), "there is no image"),
        (
            change("/images", json!([image, image])),
            "two images have the id 7",
        ),
        (
            change("/images/0/width", json!(-1)),
            "invalid value: integer `-1`",
        ),
        (change("/images/0/height", json!(u64::MAX)), "expected u32"),
        (
            change("/images/0/file_name", json!("gone.jpg")),
            "1 annotated image(s) without a partner: gone.jpg",
        ),
        (
            change("/images/0/file_name", json!("../a.png")),
            "the file_name \"../a.png\" leads out of the folder of photos",
        ),
        (
            change("/images/0/file_name", json!("/etc/a.png")),
            "leads out of the folder of photos",
        ),
        (
            change("/categories/1/id", json!(18)),
            "the categories `dog` and `cat` both have the id 18",
        ),
        (
            change("/categories/1/name", json!("dog")),
            "classes 1 and 2 are both called `dog`",
        ),
        (
            change("/annotations/0/image_id", json!(8)),
            "annotation 0 is of image 8, which is not there",
        ),
        (
            change("/annotations/0/category_id", json!(3)),
            "annotation 0 is of category 3, which is not there",
        ),
        (
            change("/annotations/0/segmentation", json!("text")),
            "expected polygons",
        ),
        (
            change("/annotations/0/segmentation", json!([1, 2, 3])),
            "expected a sequence",
        ),
        (
            change("/annotations/0/segmentation", json!({"size": [3, 4]})),
            "missing field `counts`",
        ),
        (
            change(
                "/annotations/0/segmentation",
                json!({"size": [3], "counts": []}),
            ),
            "invalid length 1",
        ),
        (
            change(
                "/annotations/0/segmentation",
                json!({"size": [3, 4], "counts": [1, -1]}),
            ),
            "invalid value: integer `-1`",
        ),
        (
            change(
                "/annotations/0/segmentation",
                json!({"size": [3, 4], "counts": 5}),
            ),
            "expected run lengths as numbers or as text",
        ),
    ];
    for (json, problem) in broken {
        let root = folder(4, 3, &json);
        let message = open(&root, &CocoConfig::default()).unwrap_err().to_string();
        assert!(
            message.starts_with(root.path().to_str().unwrap()),
            "{message}"
        );
        assert!(message.contains(problem), "{json}: {message}");
    }
    let error = CocoDataset::open("/nowhere.json", "/", &CocoConfig::default()).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere.json: "), "{error}");
}

#[test]
fn a_size_that_is_not_the_photos_is_an_error() {
    for (width, height) in [(3, 4), (0, 0), (u32::MAX, u32::MAX)] {
        let root = folder(4, 3, &annotations(width, height, &[]).to_string());
        let message = open(&root, &CocoConfig::default())
            .unwrap()
            .get(0)
            .unwrap_err()
            .to_string();
        let sizes = format!("a.png is said to be {width}x{height} but is 4x3");
        assert!(message.contains(&sizes), "{message}");
    }
    let root = folder(4, 3, &annotations(4, 3, &[]).to_string());
    let data = open(&root, &CocoConfig::default()).unwrap();
    fs::write(root.path().join("a.png"), "no photo").unwrap();
    let error = data.get(0).unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error}");
}

#[test]
fn classes_follow_the_categories_or_the_configuration() {
    let root = folder(4, 3, &annotations(4, 3, &[]).to_string());
    let names = |classes: &[(i64, u8)]| {
        let classes = Some(classes.iter().copied().collect());
        let data = open(
            &root,
            &CocoConfig {
                classes,
                ..CocoConfig::default()
            },
        )?;
        Ok::<_, Error>(data.classes().names().to_vec())
    };
    let data = open(&root, &CocoConfig::default()).unwrap();
    assert_eq!(
        data.classes().names(),
        ["background", "dog", "cat", "brush"]
    );
    assert_eq!(names(&[(17, 1)]).unwrap(), ["background", "cat"]);
    assert_eq!(
        names(&[(17, 1), (18, 1), (90, 255)]).unwrap(),
        ["background", "dog"]
    );
    assert_eq!(names(&[(90, 0), (18, 1)]).unwrap(), ["brush", "dog"]);
    assert_eq!(names(&[]).unwrap(), ["background"]);
    let message = names(&[(17, 2)]).unwrap_err().to_string();
    assert!(
        message.contains("no category has class 1 of 3"),
        "{message}"
    );
    let message = names(&[(16, 1)]).unwrap_err().to_string();
    assert!(
        message.contains("there is no category 16") && message.contains("[17, 18, 90]"),
        "{message}"
    );

    let many: Vec<_> = (0..255)
        .map(|id| json!({"id": id, "name": id.to_string()}))
        .collect();
    let mut json = annotations(4, 3, &[]);
    json["categories"] = json!(many[..254]);
    assert_eq!(
        open(&folder(4, 3, &json.to_string()), &CocoConfig::default())
            .unwrap()
            .classes()
            .len(),
        255
    );
    json["categories"] = json!(many);
    let error = open(&folder(4, 3, &json.to_string()), &CocoConfig::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("255 categories; expected at most 254"),
        "{error}"
    );
}

#[test]
fn config_is_plain_data() {
    let json = r#"{"classes": {"17": 1, "18": 2}, "crowds": "ignore"}"#;
    let cfg = CocoConfig {
        classes: Some([(17, 1), (18, 2)].into()),
        crowds: Crowds::Ignore,
        ..CocoConfig::default()
    };
    assert_eq!(serde_json::from_str::<CocoConfig>(json).unwrap(), cfg);
    assert!(serde_json::from_str::<CocoConfig>(r#"{"crowd": "ignore"}"#).is_err());
}

#[test]
fn the_fingerprint_follows_annotations_and_classes() {
    let root = folder(4, 3, &annotations(4, 3, &[]).to_string());
    let print = |cfg: &CocoConfig| open(&root, cfg).unwrap().fingerprint().unwrap().unwrap();
    let first = print(&CocoConfig::default());
    assert_eq!(first, print(&CocoConfig::default()));
    let classes = Some([(17, 1)].into());
    assert_ne!(
        first,
        print(&CocoConfig {
            classes,
            ..CocoConfig::default()
        })
    );
    let more = annotations(4, 3, &[(18, rectangle([0., 0., 1., 1.]), 0)]);
    fs::write(root.path().join("instances.json"), more.to_string()).unwrap();
    assert_ne!(first, print(&CocoConfig::default()));
}

fn masks() -> impl Strategy<Value = GrayImage> {
    (1..40u32, 1..40u32).prop_flat_map(|(width, height)| {
        // Runs of any length, by pixels that mostly repeat the one before.
        let changes = prop::collection::vec(prop::bool::weighted(0.2), (width * height) as usize);
        changes.prop_map(move |changes| {
            let mut inside = false;
            let values = changes.into_iter().map(|change| {
                inside ^= change;
                u8::from(inside)
            });
            GrayImage::from_raw(width, height, values.collect()).unwrap()
        })
    })
}

/// Corners in halves, so that edges go through centres, in and around an image of 12x10.
fn corners(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<[f64; 2]>> {
    let place = |side: i32| (-4..side * 2 + 4).prop_map(|twice| f64::from(twice) / 2.0);
    prop::collection::vec((place(12), place(10)).prop_map(|(x, y)| [x, y]), count)
}

/// Whether a ray to the left from a pixel's centre crosses the edges of a polygon an odd number of times.
fn is_inside(corners: &[[f64; 2]], x: u32, y: u32) -> bool {
    let [x, y] = [f64::from(x) + 0.5, f64::from(y) + 0.5];
    let edges = corners.iter().zip(corners.iter().cycle().skip(1));
    let crosses = |(&[x0, y0], &[x1, y1]): (&[f64; 2], &[f64; 2])| {
        // Products of halves are exact.
        let side = (x - x0) * (y1 - y0) - (y - y0) * (x1 - x0);
        (y0 <= y && y < y1 && side >= 0.0) || (y1 <= y && y < y0 && side <= 0.0)
    };
    edges.filter(|edge| crosses(*edge)).count() % 2 == 1
}

#[test]
fn an_image_without_pixels_has_no_runs() {
    for (width, height) in [(0, 0), (3, 0), (0, 3)] {
        let labels = GrayImage::new(width, height);
        assert_eq!(RunLengths::of_class(&labels, 0).pixels(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn run_lengths_survive_as_numbers_and_as_text(region in masks()) {
        let lengths = encode(&region);
        let size = [region.height(), region.width()];
        for counts in [json!(lengths), json!(pack(&lengths))] {
            let painted = mask(region.dimensions(), [json!({"size": size, "counts": counts})]).unwrap();
            prop_assert_eq!(&painted, &region);
        }
    }

    #[test]
    fn any_text_is_a_mask_or_an_error(text in "[0-o]{0,30}") {
        let painted = mask((5, 4), [json!({"size": [4, 5], "counts": text})]);
        let refused = |error| matches!(error, Error::Annotations { .. });
        prop_assert!(painted.map_or_else(refused, |_| true));
    }

    #[test]
    fn a_rectangle_has_exactly_its_pixels(x in 0..9u32, y in 0..7u32, w in 1..9u32, h in 1..7u32, clockwise: bool) {
        let [x0, y0, x1, y1] = [x, y, x + w, y + h].map(f64::from);
        let region = if clockwise { rectangle([x0, y0, x1, y1]) } else { rectangle([x1, y0, x0, y1]) };
        let painted = mask((12, 10), [region]).unwrap();
        let expected = GrayImage::from_fn(12, 10, |px, py| {
            Luma([u8::from((x..x + w).contains(&px) && (y..y + h).contains(&py))])
        });
        prop_assert_eq!(painted, expected);
    }

    #[test]
    fn polygons_have_the_centres_that_are_inside(corners in corners(3..12)) {
        let painted = mask((12, 10), [json!([corners.concat()])]).unwrap();
        let expected = GrayImage::from_fn(12, 10, |x, y| Luma([u8::from(is_inside(&corners, x, y))]));
        prop_assert_eq!(painted, expected);
    }

    #[test]
    fn neighbours_leave_no_gap_and_share_no_pixel(
        corners in prop::collection::vec([-3.0..15.0, -3.0..13.0], 4),
    ) {
        // Triangles on both sides of the line between the first two corners, or on one.
        let painted = |order: &[usize]| {
            let polygon: Vec<_> = order.iter().flat_map(|&corner| corners[corner]).collect();
            mask((12, 10), [json!([polygon])]).unwrap()
        };
        let (first, second, both) = (painted(&[0, 1, 2]), painted(&[0, 1, 3]), painted(&[0, 2, 1, 3]));
        for ((first, second), both) in first.iter().zip(second.iter()).zip(both.iter()) {
            prop_assert_eq!(first ^ second, *both);
        }
    }
}
