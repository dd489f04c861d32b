use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use unetr_data::{Classes, RunLengths, read_mask};
use unetr_predict::{
    OutputFolder, OutputKind, PhotoSummary, Segmentation, coco_results, contours, find_photos,
    write_labels_png,
};

fn ring() -> GrayImage {
    GrayImage::from_fn(20, 12, |x, y| {
        let outer = (2..14).contains(&x) && (1..11).contains(&y);
        let inner = (5..10).contains(&x) && (4..8).contains(&y);
        Luma([u8::from(outer && !inner)])
    })
}

fn segmentation(labels: GrayImage) -> Segmentation {
    let (width, height) = labels.dimensions();
    Segmentation {
        labels,
        confidence: ImageBuffer::from_pixel(width, height, Luma([0.75])),
        probabilities: None,
    }
}

#[test]
fn a_contour_surrounds_a_region_and_its_hole() {
    let found = contours(&ring(), 1, 0.5);
    let holes: Vec<bool> = found.iter().map(|contour| contour.hole).collect();
    assert_eq!(holes, [false, true]);
    let mut corners = found[0].points.clone();
    corners.sort_unstable();
    assert_eq!(corners, [[2, 1], [2, 10], [13, 1], [13, 10]]);
    // All pixels of the outer border.
    assert_eq!(contours(&ring(), 1, 0.)[0].points.len(), 2 * (12 + 10) - 4);
    assert!(contours(&ring(), 7, 1.).is_empty());
}

#[test]
fn a_contour_is_found_at_every_edge_and_of_every_width() {
    // The whole map, a part at the left edge, one in the bottom right corner, a line of one pixel, one pixel.
    for [x0, y0, x1, y1] in [
        [0, 0, 20, 12],
        [0, 2, 10, 8],
        [15, 6, 20, 12],
        [3, 5, 13, 6],
        [7, 7, 8, 8],
    ] {
        let labels = GrayImage::from_fn(20, 12, |x, y| {
            Luma([u8::from((x0..x1).contains(&x) && (y0..y1).contains(&y))])
        });
        let mut expected: Vec<[u32; 2]> = [x0, x1 - 1]
            .into_iter()
            .flat_map(|x| [[x, y0], [x, y1 - 1]])
            .collect();
        expected.dedup();
        for tolerance in [0.5, 0.7] {
            let found = contours(&labels, 1, tolerance);
            assert_eq!(found.len(), 1);
            assert!(!found[0].hole);
            let mut corners = found[0].points.clone();
            corners.sort_unstable();
            assert_eq!(corners, expected);
        }
    }
}

#[test]
fn a_spike_is_kept_however_thin() {
    let labels = GrayImage::from_fn(30, 30, |x, y| {
        let square = (5..15).contains(&x) && (5..15).contains(&y);
        Luma([u8::from(square || (y == 9 && (15..28).contains(&x)))])
    });
    let found = contours(&labels, 1, 1.);
    assert!(found[0].points.contains(&[27, 9]), "{:?}", found[0].points);
    assert!(found[0].points.len() < 10, "{:?}", found[0].points);
}

#[test]
fn labels_are_read_back_with_colours_for_what_is_no_class() {
    let folder = tempfile::tempdir().unwrap();
    let classes = Classes::new([("a", [1, 2, 3]), ("b", [4, 5, 6])]).unwrap();
    for odd in [1, 7, Classes::IGNORED] {
        let mut labels = ring();
        labels.put_pixel(0, 0, Luma([odd]));
        let path = folder.path().join(format!("{odd}.png"));
        write_labels_png(&path, &labels, &classes).unwrap();
        assert_eq!(read_mask(&path).unwrap(), labels);
        let colours = image::open(&path).unwrap().to_rgb8();
        assert_eq!(*colours.get_pixel(3, 3), Rgb([4, 5, 6]));
        assert_eq!(*colours.get_pixel(0, 0), Rgb(classes.colour(odd)));
    }
    let error = write_labels_png(
        folder.path().join("none.png"),
        &GrayImage::new(0, 3),
        &classes,
    );
    assert!(error.unwrap_err().to_string().contains("no pixels"));
}

#[test]
fn results_of_coco_are_those_of_pycocotools() {
    // pycocotools 2.0.11: mask.encode(numpy.asfortranarray(ring.astype(numpy.uint8)))["counts"]
    let results = coco_results(17, &segmentation(ring()), 2);
    let expected = r"i0:20000I20N020N020N020N020N7000000W2";
    let json = serde_json::to_value(&results[1]).unwrap();
    assert_eq!(json["segmentation"]["counts"], expected);
    assert_eq!(json["segmentation"]["size"], serde_json::json!([12, 20]));
    assert_eq!(
        (results[1].image_id, results[1].category_id, results[1].area),
        (17, 1, 100)
    );
    assert_eq!(results[1].score, 0.75);
    assert_eq!(results[0].area + results[1].area, 240);
    let read: RunLengths = serde_json::from_value(json["segmentation"].clone()).unwrap();
    assert_eq!(read.pixels(), 100);
}

#[test]
fn a_folder_has_the_files_of_every_photo() {
    let root = tempfile::tempdir().unwrap();
    let kinds = [
        OutputKind::Mask,
        OutputKind::Overlay,
        OutputKind::Confidence,
        OutputKind::Contours,
    ];
    let classes = Classes::viridis(["rest", "ring"]).unwrap();
    let folder = OutputFolder::create(root.path().join("a/b"), kinds, &classes).unwrap();
    let photo = RgbImage::new(20, 12);
    let path = Path::new("photos/cat.jpg");
    let summary = folder
        .write("cat", path, &photo, &segmentation(ring()))
        .unwrap();
    assert_eq!(
        summary.files,
        [
            "cat.mask.png",
            "cat.overlay.png",
            "cat.confidence.png",
            "cat.contours.json"
        ]
    );
    assert_eq!(summary.areas["ring"].pixels, 100);
    let confidence = image::open(folder.path().join("cat.confidence.png")).unwrap();
    assert_eq!(confidence.to_luma8().get_pixel(0, 0).0, [191]);
    let contours = std::fs::read(folder.path().join("cat.contours.json")).unwrap();
    let contours: serde_json::Value = serde_json::from_slice(&contours).unwrap();
    assert_eq!(contours["ring"].as_array().unwrap().len(), 2);
    let json = serde_json::to_string(&summary).unwrap();
    assert_eq!(
        serde_json::from_str::<PhotoSummary>(&json).unwrap(),
        summary
    );

    std::fs::remove_dir_all(folder.path()).unwrap();
    let error = folder
        .write("cat", path, &photo, &segmentation(ring()))
        .unwrap_err();
    assert!(error.to_string().contains("cat.mask.png"), "{error}");
}

#[test]
fn probabilities_are_written_where_a_segmentation_has_them() {
    let root = tempfile::tempdir().unwrap();
    let classes = Classes::viridis(["rest", "ring"]).unwrap();
    let folder = OutputFolder::create(root.path(), [OutputKind::Probabilities], &classes).unwrap();
    let write = |segmentation: &Segmentation| {
        folder.write(
            "cat",
            Path::new("cat.jpg"),
            &RgbImage::new(20, 12),
            segmentation,
        )
    };
    let error = write(&segmentation(ring())).unwrap_err().to_string();
    assert!(
        error.contains("a segmenter with `Probabilities::All`"),
        "{error}"
    );

    let probabilities = Tensor::rand(0f32, 1., (2, 12, 20), &Device::Cpu).unwrap();
    let summary = write(&Segmentation {
        probabilities: Some(probabilities.clone()),
        ..segmentation(ring())
    });
    let file = root.path().join(&summary.unwrap().files[0]);
    let read = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(read["probabilities"].dims(), [2, 12, 20]);
    assert_eq!(values(&read["probabilities"]), values(&probabilities));
}

#[test]
fn photos_with_one_name_get_several() {
    let photos = [
        "a/cat.jpg",
        "b/cat.jpg",
        "b/Cat.png",
        "b/dog.png",
        "cat-2.jpg",
    ];
    let photos: Vec<PathBuf> = photos.iter().map(PathBuf::from).collect();
    assert_eq!(
        OutputFolder::names(&photos),
        ["cat", "cat-2", "Cat-3", "dog", "cat-2-2"]
    );
}

#[test]
fn photos_are_found_by_name_folder_and_pattern() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"").unwrap();
        path.to_str().unwrap().to_owned()
    };
    let [b, a, deep, odd, ..] = [
        "b.jpg",
        "a.PNG",
        "deep/er/c.webp",
        "b.xyz",
        "notes.txt",
        "._b.jpg",
        ".thumbnails/a.jpg",
    ]
    .map(file);
    let folder = root.path().to_str().unwrap().to_owned();
    let names = |arguments: &[String]| -> Vec<String> {
        let photos = find_photos(arguments).unwrap();
        photos
            .iter()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(std::slice::from_ref(&folder)),
        [a.clone(), b.clone(), deep.clone()]
    );
    assert_eq!(
        names(&[b.clone(), folder.clone()]),
        [b.clone(), a.clone(), deep]
    );
    assert_eq!(names(&[format!("{folder}/b.*")]), [b.clone(), odd]);
    assert_eq!(
        names(&[format!("{folder}/*.jpg")]),
        std::slice::from_ref(&b)
    );
    // It is told when it is read.
    assert_eq!(names(&["missing.jpg".to_owned()]), ["missing.jpg"]);

    let empty = root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for argument in [
        empty.to_str().unwrap().to_owned(),
        format!("{folder}/*.gif"),
    ] {
        let error = find_photos([&argument]).unwrap_err().to_string();
        assert!(
            error.contains(&argument) && error.contains("jpg"),
            "{error}"
        );
    }
    let error = find_photos(["a/***/b"]).unwrap_err().to_string();
    assert!(error.contains("a/***/b"), "{error}");
}
