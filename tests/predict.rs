//! The example `predict` as a process: what it takes, writes and says.
#![allow(clippy::unwrap_used, clippy::panic)]

mod process;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use candle_core::{DType, Device};
use process::{example, text};
use serde_json::Value;
use tempfile::TempDir;
use unetr::data::{Classes, Normalize};
use unetr::model::{Parameters, Unetr, UnetrConfig};
use unetr::predict::{ModelCard, save_pretrained};

const ODD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/odd/images");

/// A folder with a network of its own and room for what it predicts.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let parameters = Parameters::new(5, DType::F32, &Device::Cpu);
        let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).unwrap();
        save_pretrained(
            folder.path().join("model"),
            &model,
            &parameters,
            &Normalize::default(),
            &Classes::viridis(["pet", "background", "boundary"]).unwrap(),
            &ModelCard::default(),
        )
        .unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn predict<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Output {
        let mut process = example("predict")
            .args(["--device", "cpu", "--model"])
            .arg(self.path("model"))
            .arg("--out")
            .arg(self.path("out"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        process.wait_with_output().unwrap()
    }

    fn summary(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("out/summary.jsonl")).unwrap();
        let mut lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        lines.sort_by_key(|line| line["photo"].to_string());
        lines
    }

    fn written(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("out")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn it_goes_on_past_broken_photos_and_says_so() {
    let workplace = Workplace::new();
    let broken = workplace.path("broken.jpg");
    fs::write(&broken, b"\xff\xd8\xff no photo").unwrap();
    let missing = workplace.path("missing.png");
    let arguments = [&broken, &missing].map(|path| path.display().to_string());
    let output = workplace.predict(arguments.into_iter().chain([ODD.to_owned()]), "");

    assert_eq!(output.status.code(), Some(1));
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(said.contains("7 of 9 photos segmented"), "{said}{errors}");
    for path in [&broken, &missing] {
        assert!(errors.contains(&*path.to_string_lossy()), "{errors}");
    }
    let summary = workplace.summary();
    assert_eq!(summary.len(), 7);
    // A GIF and the smallest photo, each at its own size.
    for (line, (name, size)) in [
        (2, ("Abyssinian_34.jpg", (250, 202))),
        (4, ("Abyssinian_63.jpg", (150, 116))),
    ] {
        let line = &summary[line];
        assert!(line["photo"].as_str().unwrap().ends_with(name), "{line}");
        assert_eq!(
            (line["width"].as_u64(), line["height"].as_u64()),
            (Some(size.0), Some(size.1))
        );
        for file in line["files"].as_array().unwrap() {
            let file = workplace.path("out").join(file.as_str().unwrap());
            assert_eq!(
                image::image_dimensions(file).unwrap(),
                (size.0 as u32, size.1 as u32)
            );
        }
        let areas = line["areas"].as_object().unwrap().values();
        let pixels: u64 = areas.map(|area| area["pixels"].as_u64().unwrap()).sum();
        assert_eq!(pixels, size.0 * size.1);
    }
}

#[test]
fn a_list_comes_by_standard_input_and_all_outputs_are_written() {
    let workplace = Workplace::new();
    let coco = workplace.path("coco.json");
    let flags = [
        "--list",
        "-",
        "--outputs",
        "mask,overlay,confidence,contours",
        "--fit",
        "window",
        "--flips",
        "horizontal",
        "--coco",
        coco.to_str().unwrap(),
    ];
    let photo = format!("{ODD}/Abyssinian_63.jpg");
    // The second photo has the first one's name; a photo named twice is one.
    let other = workplace.path("abyssinian_63.png");
    fs::copy(format!("{ODD}/Abyssinian_5.jpg"), &other).unwrap();
    let list = format!("{photo}\n\n{}\n{photo}\n", other.display());
    let output = workplace.predict(flags, &list);

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        workplace.written(),
        [
            "Abyssinian_63.confidence.png",
            "Abyssinian_63.contours.json",
            "Abyssinian_63.mask.png",
            "Abyssinian_63.overlay.png",
            "abyssinian_63-2.confidence.png",
            "abyssinian_63-2.contours.json",
            "abyssinian_63-2.mask.png",
            "abyssinian_63-2.overlay.png",
            "summary.jsonl",
        ]
    );
    let results: Vec<Value> = serde_json::from_slice(&fs::read(&coco).unwrap()).unwrap();
    let area = |photo: &str| -> u64 {
        let of_photo = results.iter().filter(|result| result["image_id"] == photo);
        of_photo
            .map(|result| result["area"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(area(&photo), 150 * 116);
    assert_eq!(area(other.to_str().unwrap()), 200 * 150);
}

#[test]
fn what_cannot_be_done_is_said_before_any_photo() {
    let workplace = Workplace::new();
    let nothing = workplace.path("*.jpg").display().to_string();
    let photo = format!("{ODD}/Abyssinian_63.jpg");
    let nowhere = workplace.path("nowhere").display().to_string();
    for (arguments, said) in [
        (vec![nothing.as_str()], "*.jpg"),
        (vec!["--overlap", "1", &photo], "overlap"),
        (vec!["--scales", "0", &photo], "scale"),
        (vec!["--list", &nowhere], "nowhere"),
        (vec![], "<PHOTOS>"),
    ] {
        let output = workplace.predict(&arguments, "");
        let errors = text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(errors.contains(said), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        assert!(!workplace.path("out/summary.jsonl").exists());
    }
}
