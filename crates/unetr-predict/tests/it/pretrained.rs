use std::path::Path;

use candle_core::{DType, Device};
use image::{Rgb, RgbImage};
use unetr_data::{Classes, Compose, HorizontalFlip, Normalize};
use unetr_model::{Parameters, Unetr, UnetrConfig};
use unetr_predict::{Error, ModelCard, Segmenter, save_pretrained};

const HALF: Normalize = Normalize {
    mean: [0.5; 3],
    std: [0.5; 3],
};

fn save(folder: &Path, classes: &Classes) -> Result<Unetr, Error> {
    let parameters = Parameters::new(5, DType::F32, &Device::Cpu);
    let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).unwrap();
    let card = ModelCard {
        name: "Pets".into(),
        data: "Photos of pets.".into(),
        metrics: [("validation/mean_iou".to_owned(), 0.66)].into(),
        license: Some("mit".into()),
        ..ModelCard::default()
    };
    save_pretrained(folder, &model, &parameters, &HALF, classes, &card)?;
    Ok(model)
}

fn pets() -> Classes {
    Classes::viridis(["pet", "background", "bound|ary"]).unwrap()
}

fn photo() -> RgbImage {
    RgbImage::from_fn(90, 70, |x, y| Rgb([x as u8 * 2, y as u8 * 3, 99]))
}

#[test]
fn what_is_shared_predicts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let model = save(folder.path(), &pets()).unwrap();
    let before = Segmenter::of_unetr(model, pets(), HALF, &Device::Cpu).unwrap();
    let after = Segmenter::from_pretrained(folder.path()).unwrap();
    assert_eq!(after.classes(), &pets());
    let [a, b] = [before, after].map(|segmenter| segmenter.segment(&photo()).unwrap());
    assert_eq!(a.labels, b.labels);
    assert_eq!(a.confidence, b.confidence);

    let card = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
    let front = card
        .strip_prefix("---\n")
        .unwrap()
        .split_once("\n---\n")
        .unwrap()
        .0;
    let front: serde_yaml_ng::Value = serde_yaml_ng::from_str(front).unwrap();
    assert_eq!(front["license"], "mit");
    assert_eq!(front["pipeline_tag"], "image-segmentation");
    for part in [
        "# Pets",
        "64x64",
        "| 2 | bound\\|ary | `#fde725` |",
        "Photos of pets.",
        "| 0.6600 |",
    ] {
        assert!(card.contains(part), "{part} is not in\n{card}");
    }
}

#[test]
fn without_the_other_files_there_are_defaults() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &pets()).unwrap();
    std::fs::remove_file(folder.path().join("classes.json")).unwrap();
    std::fs::remove_file(folder.path().join("preprocessing.json")).unwrap();
    let segmenter = Segmenter::from_pretrained(folder.path()).unwrap();
    assert_eq!(segmenter.classes().names(), ["0", "1", "2"]);
    assert!(format!("{segmenter:?}").contains("0.485"));
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let two = Classes::named(["a", "b"]).unwrap();
    let error = save(folder.path(), &two).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Classes {
                found: 2,
                expected: 3
            }
        ),
        "{error}"
    );

    save(folder.path(), &pets()).unwrap();
    let message = || {
        Segmenter::from_pretrained(folder.path())
            .unwrap_err()
            .to_string()
    };
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();

    let flips = Compose::default()
        .then(HorizontalFlip::default())
        .then(HALF);
    write(
        "preprocessing.json",
        &serde_json::to_string(&flips).unwrap(),
    );
    assert!(message().contains("preprocessing.json") && message().contains("HorizontalFlip"));
    let flat = Compose::default().then(Normalize {
        std: [0.; 3],
        ..HALF
    });
    write("preprocessing.json", &serde_json::to_string(&flat).unwrap());
    assert!(message().contains("preprocessing.json") && message().contains("std"));
    write("preprocessing.json", "{");
    assert!(message().contains("preprocessing.json"));
    std::fs::remove_file(folder.path().join("preprocessing.json")).unwrap();

    write("classes.json", &serde_json::to_string(&two).unwrap());
    assert!(message().contains("2 classes are named"), "{}", message());
    assert!(message().contains("classes.json"), "{}", message());
    std::fs::remove_file(folder.path().join("classes.json")).unwrap();

    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert!(message().contains("model.safetensors"));
}
