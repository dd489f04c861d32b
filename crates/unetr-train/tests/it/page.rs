use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use candle_core::{Device, Tensor};
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;
use unetr_metrics::MetricSet;
use unetr_train::{
    Environment, Error, Evaluation, Gallery, HistoryFile, PredictionSample, Record, Report,
    RunFolder, ScoredSample, Split,
};

const HOSTILE: &str = "</style><script>alert('x')</script>\"&amp;";

fn record(epoch: u64) -> Record {
    let better = 1.0 - (-(epoch as f64) / 10.0).exp();
    let mut record = Record::new(epoch, 55 * epoch)
        .metric(Split::Train, "running_loss", 2.1 - better)
        .metric(Split::Train, "running_gradient_norm", 3.0 - better);
    (record.lr, record.seconds, record.images_per_second) = (1e-3, 12.5, 44.0);
    if epoch % 2 == 1 {
        for (split, gap) in [(Split::Train, 0.0), (Split::Validation, 0.1)] {
            record = record
                .metric(split, "loss", 2.0 - better + gap)
                .metric(split, "accuracy", 0.5 + 0.4 * better - gap)
                .metric(split, "mean_iou", 0.3 + 0.4 * better - gap)
                .metric(split, "iou/pet", 0.4 + 0.4 * better - gap);
        }
    }
    record
}

fn write_history(run: &RunFolder, epochs: u64) {
    let mut file = HistoryFile::open(run.history()).unwrap();
    (1..=epochs).for_each(|epoch| file.append(record(epoch)).unwrap());
}

fn write_config(run: &RunFolder, config: &Value) {
    fs::write(run.config(), config.to_string()).unwrap();
}

fn metrics(classes: &[&str]) -> MetricSet {
    let mut metrics = MetricSet::new(classes.to_vec()).unwrap();
    let truth: Vec<u8> = (0..classes.len() as u8)
        .flat_map(|class| [class; 4])
        .collect();
    let last = classes.len() as u8 - 1;
    let predictions: Vec<u8> = truth
        .iter()
        .enumerate()
        .map(|(index, &class)| if index % 4 == 0 { last } else { class })
        .collect();
    let rows: Vec<f32> = (0..classes.len() as u8)
        .flat_map(|class| {
            predictions
                .iter()
                .map(move |&prediction| f32::from(u8::from(prediction == class)))
        })
        .collect();
    let logits = Tensor::from_vec(rows, (1, classes.len(), truth.len()), &Device::Cpu).unwrap();
    let labels = Tensor::from_vec(truth, (1, 4 * classes.len()), &Device::Cpu).unwrap();
    metrics.update(&logits, &labels).unwrap();
    metrics
}

fn write_gallery(run: &RunFolder, step: u64, name: &str, class: &str) {
    let sample = |index: u32| ScoredSample {
        name: format!("{name} {index}"),
        score: f64::from(index) / 10.0,
        pictures: PredictionSample {
            image: RgbImage::from_fn(256, 256, |x, y| Rgb([x as u8, y as u8, 128])),
            mask: GrayImage::from_fn(256, 256, |x, y| Luma([u8::from(x + y > 256)])),
            prediction: GrayImage::from_fn(256, 256, |x, _| Luma([u8::from(x > 128)])),
        },
    };
    let samples: Vec<ScoredSample> = (0..10).map(sample).collect();
    Gallery::write(
        run.gallery(),
        step,
        &samples,
        3,
        &unetr_data::Classes::viridis([class, "background"]).unwrap(),
    )
    .unwrap();
}

/// A run with everything, three epochs of three.
fn whole() -> (TempDir, RunFolder) {
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path().join("pets"));
    fs::create_dir(run.path()).unwrap();
    write_config(
        &run,
        &json!({"trainer": {"epochs": 3}, "settings": {"lr": 0.001, "seed": 12}}),
    );
    write_history(&run, 3);
    Evaluation::new(3, 165, Split::Validation, &metrics(&["pet", "background"]))
        .write(run.evaluation())
        .unwrap();
    Environment::collect("cpu")
        .write(run.environment())
        .unwrap();
    write_gallery(&run, 165, "Bengal", "pet");
    (folder, run)
}

fn html(folders: &[&Path]) -> String {
    Report::open(folders).unwrap().html()
}

/// The page as XML, which is stricter than HTML: only elements without content need an end.
fn parse(html: &str, look: impl FnOnce(roxmltree::Node<'_, '_>)) {
    let mut xml = String::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(start) = rest
        .find("<meta ")
        .into_iter()
        .chain(rest.find("<img "))
        .chain(rest.find("<br>"))
        .min()
    {
        let end = start + rest[start..].find('>').unwrap();
        xml.push_str(&rest[..end]);
        xml.push_str("/>");
        rest = &rest[end + 1..];
    }
    xml.push_str(rest);
    let document = roxmltree::Document::parse(&xml).unwrap();
    look(document.root_element());
}

fn elements<'a, 'i>(root: roxmltree::Node<'a, 'i>, name: &str) -> Vec<roxmltree::Node<'a, 'i>> {
    root.descendants()
        .filter(|node| node.has_tag_name(name))
        .collect()
}

fn text(node: roxmltree::Node<'_, '_>) -> String {
    node.descendants()
        .filter_map(|node| node.text().filter(|_| node.is_text()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_run_is_one_well_formed_page_that_loads_nothing() {
    let (_folder, run) = whole();
    let html = html(&[run.path()]);
    assert!(html.len() < 600_000, "{} bytes", html.len());
    parse(&html, |root| {
        assert_eq!(text(elements(root, "h1")[0]), "pets");
        let titles: Vec<String> = elements(root, "h2").into_iter().map(text).collect();
        assert_eq!(
            titles,
            [
                "Curves",
                "Classes",
                "Predictions",
                "Configuration",
                "Machine"
            ]
        );
        assert!(elements(root, "script").is_empty() && elements(root, "link").is_empty());
        for image in elements(root, "img") {
            assert!(image.attribute("src").unwrap().starts_with("data:image/"));
            assert!(!image.attribute("alt").unwrap().is_empty());
        }
        assert_eq!(elements(root, "img").len(), 9 * 4);
        // Every chart says what it shows to those who can't see it.
        let charts: Vec<_> = elements(root, "svg")
            .into_iter()
            .filter(|svg| svg.attribute("role") == Some("img"))
            .collect();
        assert_eq!(charts.len(), 7);
        let mut ids: Vec<&str> = root
            .descendants()
            .filter_map(|node| node.attribute("id"))
            .collect();
        for chart in charts {
            for id in chart.attribute("aria-labelledby").unwrap().split(' ') {
                let named = chart
                    .descendants()
                    .find(|node| node.attribute("id") == Some(id))
                    .unwrap();
                assert!(!text(named).is_empty());
            }
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "an id occurs twice");
    });
    assert!(
        !html.contains("url(") && !html.contains("http:") && !html.contains("https:"),
        "something is loaded"
    );
}

#[test]
fn the_headline_has_the_best_epoch_and_the_last_loss() {
    let (_folder, run) = whole();
    parse(&html(&[run.path()]), |root| {
        let figures: Vec<String> = elements(root, "dl")[0]
            .children()
            .map(|figure| {
                figure
                    .descendants()
                    .filter_map(|node| node.text().filter(|_| node.is_text()))
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .collect();
        let better = 1.0 - (-0.3f64).exp();
        assert_eq!(
            figures,
            [
                format!(
                    "Best validation mean IoU, |epoch 3|{:.3}",
                    0.2 + 0.4 * better
                ),
                format!("Pixel accuracy, |epoch 3|{:.3}", 0.4 + 0.4 * better),
                format!("Last validation loss, |epoch 3|{:.3}", 2.1 - better),
                format!("Last training loss, |epoch 3|{:.3}", 2.1 - better),
                "Images per second, |median|44.0".to_owned(),
                "Time|38 s".to_owned(),
            ]
        );
        let status = elements(root, "p")
            .into_iter()
            .find(|p| p.attribute("class") == Some("status"))
            .unwrap();
        assert!(
            text(status).starts_with("Finished 3 of 3 epochs"),
            "{}",
            text(status)
        );
    });
}

#[test]
fn scores_and_counts_of_the_classes_are_those_of_the_matrix() {
    let (_folder, run) = whole();
    parse(&html(&[run.path()]), |root| {
        let row = |table: usize, row: usize| -> Vec<String> {
            let rows = elements(elements(root, "tbody")[table], "tr");
            rows[row].children().map(text).collect()
        };
        // 3 of 4 pixels of the pet are right, the other is taken for background.
        assert_eq!(
            row(0, 0),
            ["pet", "0.750", "0.857", "1.000", "0.750", "0.750", "50.0 %"]
        );
        assert_eq!(
            row(0, 1),
            [
                "background",
                "0.800",
                "0.889",
                "0.800",
                "1.000",
                "0.800",
                "50.0 %"
            ]
        );
        assert_eq!(row(1, 0), ["pet", "75.0 %", "25.0 %"]);
        let cells = elements(elements(root, "tbody")[1], "td");
        assert_eq!(
            cells[1].attribute("title"),
            Some("1 pixels of pet predicted as background")
        );
    });
}

#[test]
fn what_others_measure_has_its_own_columns_and_rows() {
    let (_folder, run) = whole();
    let mut metrics = MetricSet::new(["pet", "background", "boundary"])
        .and_then(|metrics| metrics.with_mean_without(["boundary"]))
        .and_then(|metrics| metrics.with_group("foreground", ["pet", "boundary"]))
        .and_then(|metrics| metrics.with_boundary_iou(0.02))
        .unwrap();
    let truth: Vec<u8> = (0..64).map(|pixel| [0, 2, 1, 1][pixel % 8 / 2]).collect();
    let labels = Tensor::from_vec(truth.clone(), (1, 8, 8), &Device::Cpu).unwrap();
    let class = |class: u8| {
        truth
            .iter()
            .map(move |&label| f32::from(u8::from(label == class)))
    };
    let logits: Vec<f32> = (0..3).flat_map(class).collect();
    let logits = Tensor::from_vec(logits, (1, 3, 8, 8), &Device::Cpu).unwrap();
    metrics.update(&logits, &labels).unwrap();
    Evaluation::new(3, 165, Split::Validation, &metrics)
        .write(run.evaluation())
        .unwrap();
    parse(&html(&[run.path()]), |root| {
        let table = elements(root, "table")[0];
        let rows: Vec<Vec<String>> = elements(table, "tr")
            .into_iter()
            .map(|row| row.children().map(text).collect())
            .collect();
        let columns = [
            "Class",
            "IoU",
            "Dice",
            "Precision",
            "Recall",
            "IoU per photo",
            "Boundary IoU",
            "Pixels",
        ];
        assert_eq!(rows[0], columns);
        assert_eq!(rows[3][0], "boundary");
        assert_eq!(rows[3][6..], ["1.000", "25.0 %"]);
        let one = "1.000";
        let foreground = [
            "foreground  against the rest",
            one,
            one,
            one,
            one,
            one,
            "–",
            "",
        ];
        assert_eq!(rows[4], foreground);
        assert_eq!(rows[5], ["Mean", one, one, one, one, one, one, ""]);
        assert_eq!(
            rows[6],
            ["Mean without boundary", one, "", "", "", "", "", ""]
        );
    });
}

#[test]
fn names_of_any_kind_are_text() {
    let folder = tempfile::tempdir().unwrap();
    let name = if cfg!(windows) {
        "a&b".to_owned()
    } else {
        HOSTILE.replace('/', "-")
    };
    let run = RunFolder::new(folder.path().join(name));
    fs::create_dir(run.path()).unwrap();
    write_config(&run, &json!({HOSTILE: HOSTILE, "list": [HOSTILE]}));
    write_history(&run, 2);
    let mut file = HistoryFile::open(run.history()).unwrap();
    let hostile = record(3).metric(Split::Validation, HOSTILE, 0.5).metric(
        Split::Validation,
        &format!("iou/{HOSTILE}"),
        0.5,
    );
    file.append(hostile).unwrap();
    Evaluation::new(3, 165, Split::Validation, &metrics(&[HOSTILE, "b"]))
        .write(run.evaluation())
        .unwrap();
    Environment {
        os: HOSTILE.to_owned(),
        ..Environment::collect(HOSTILE)
    }
    .write(run.environment())
    .unwrap();
    write_gallery(&run, 165, HOSTILE, HOSTILE);
    let other = whole();
    for folders in [&[run.path()][..], &[run.path(), other.1.path()]] {
        let html = html(folders);
        assert!(!html.contains("<script"), "markup got through");
        parse(&html, |root| {
            assert!(elements(root, "script").is_empty());
            assert!(text(elements(root, "main")[0]).contains(HOSTILE));
        });
    }
}

#[test]
fn what_is_missing_is_left_out_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path());
    write_config(&run, &json!({}));
    parse(&html(&[run.path()]), |root| {
        let notes: Vec<String> = elements(root, "p")
            .into_iter()
            .filter(|p| p.attribute("class") == Some("note"))
            .map(text)
            .collect();
        let files = [
            "history.jsonl",
            "evaluation.json",
            "gallery.json",
            "environment.json",
        ];
        assert!(
            files
                .iter()
                .all(|file| notes.iter().any(|note| note.contains(file))),
            "{notes:?}"
        );
        assert!(elements(root, "dl").is_empty());
    });
    // As while the first gallery is being written.
    fs::create_dir(run.gallery()).unwrap();
    parse(&html(&[run.path()]), |root| {
        assert!(text(root).contains("No pictures yet"));
    });
    fs::remove_file(run.config()).unwrap();
    write_history(&run, 1);
    parse(&html(&[run.path()]), |root| {
        assert!(text(root).contains("config.json of") && text(root).contains("is missing"));
        assert!(!elements(root, "dl").is_empty());
    });
}

#[test]
fn a_folder_without_a_run_and_no_folder_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = Report::open(&[folder.path()]).unwrap_err();
    assert!(
        matches!(&error, Error::NoRun { path } if path == folder.path()),
        "{error}"
    );
    let error = Report::open::<&Path>(&[]).unwrap_err();
    assert!(matches!(error, Error::Setting { .. }), "{error}");
}

#[test]
fn damaged_files_are_errors_that_name_them() {
    for damage in [
        RunFolder::config,
        RunFolder::environment,
        RunFolder::evaluation,
        RunFolder::history,
    ] {
        let (_folder, run) = whole();
        let path = damage(&run);
        fs::write(&path, "{\n").unwrap();
        let error = Report::open(&[run.path()]).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_run_that_goes_on_is_read_and_left_alone() {
    let (_folder, run) = whole();
    write_config(&run, &json!({"trainer": {"epochs": 30}}));
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(run.history())
        .unwrap();
    file.write_all(b"{\"epoch\": 4, \"st").unwrap();
    let torn = fs::read(run.history()).unwrap();
    parse(&html(&[run.path()]), |root| {
        let text = text(elements(root, "header")[0]);
        assert!(
            text.contains("Running") && text.contains("3 of 30 epochs"),
            "{text}"
        );
        // 12.5 seconds an epoch, 27 of them.
        assert!(self::text(elements(root, "dl")[0]).contains("about 5 min 38 s left"));
    });
    assert_eq!(fs::read(run.history()).unwrap(), torn);

    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for path in [run.config(), run.history(), run.evaluation()] {
        fs::File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(hour_ago)
            .unwrap();
    }
    parse(&html(&[run.path()]), |root| {
        assert!(text(elements(root, "header")[0]).contains("Stopped"));
    });
}

#[test]
fn runs_are_compared() {
    let (folder, run) = whole();
    let other = RunFolder::new(folder.path().join("sgd"));
    fs::create_dir(other.path()).unwrap();
    write_config(
        &other,
        &json!({"trainer": {"epochs": 5}, "settings": {"lr": 0.1, "seed": 12}, "extra": true}),
    );
    write_history(&other, 5);
    let html = html(&[run.path(), other.path()]);
    parse(&html, |root| {
        assert_eq!(text(elements(root, "h1")[0]), "pets · sgd");
        let section = |title: &str| {
            elements(root, "section")
                .into_iter()
                .find(|section| text(elements(*section, "h2")[0]) == title)
                .unwrap()
        };
        let differing: Vec<Vec<String>> =
            elements(elements(section("What differs"), "tbody")[0], "tr")
                .into_iter()
                .map(|row| row.children().map(text).collect())
                .collect();
        assert_eq!(
            differing,
            [
                ["extra", "–", "true"],
                ["settings.lr", "0.001", "0.1"],
                ["trainer.epochs", "3", "5"]
            ]
        );
        // Two more epochs: a higher score and a lower loss.
        let best: Vec<String> = section("Side by side")
            .descendants()
            .filter(|node| node.attribute("class") == Some("best"))
            .map(|cell| cell.parent().unwrap().children().next().map(text).unwrap())
            .collect();
        assert_eq!(
            best,
            [
                "Best validation mean IoU",
                "Pixel accuracy",
                "IoU of pet",
                "Last validation loss",
                "Last training loss"
            ]
        );
        assert!(text(section("Classes")).contains("No evaluation yet"));
    });
}

#[test]
fn a_run_without_validation_is_compared_by_what_it_has() {
    let (folder, run) = whole();
    let other = RunFolder::new(folder.path().join("train-only"));
    fs::create_dir(other.path()).unwrap();
    let mut file = HistoryFile::open(other.history()).unwrap();
    let record = Record::new(1, 10)
        .metric(Split::Train, "mean_iou", 0.25)
        .metric(Split::Train, "loss", 1.5);
    file.append(record).unwrap();
    for folders in [[run.path(), other.path()], [other.path(), run.path()]] {
        parse(&html(&folders), |root| {
            let rows: Vec<String> = elements(elements(root, "tbody")[0], "tr")
                .into_iter()
                .map(text)
                .collect();
            let row = |name: &str| rows.iter().find(|row| row.starts_with(name)).unwrap();
            assert!(
                row("Best mean IoU").contains("0.250  epoch 1, train"),
                "{rows:?}"
            );
            assert!(
                row("Best mean IoU").contains("epoch 3, validation"),
                "{rows:?}"
            );
            assert!(row("Last loss").contains('–'), "{rows:?}");
            assert!(row("Last training loss").contains("1.500"), "{rows:?}");
        });
    }
}

#[test]
fn long_runs_and_many_classes_stay_small() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path());
    // Without the flush of every line.
    let lines: Vec<String> = (1..=20_000)
        .map(|epoch| serde_json::to_string(&record(epoch)).unwrap() + "\n")
        .collect();
    fs::write(run.history(), lines.concat()).unwrap();
    let names: Vec<String> = (0..150).map(|class| format!("class {class}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Evaluation::new(3, 165, Split::Validation, &metrics(&names))
        .write(run.evaluation())
        .unwrap();
    let html = html(&[run.path()]);
    assert!(html.len() < 500_000, "{} bytes", html.len());
    parse(&html, |root| {
        assert!(text(root).contains("Largest confusions"));
    });
}

#[test]
fn values_that_are_not_finite_leave_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path());
    let mut file = HistoryFile::open(run.history()).unwrap();
    for (epoch, loss) in (1..).zip([3.0, 2.0, f64::NAN, f64::INFINITY, 1.0]) {
        let record = Record::new(epoch, epoch)
            .metric(Split::Validation, "loss", loss)
            .metric(Split::Validation, "mean_iou", f64::NAN);
        file.append(record).unwrap();
    }
    parse(&html(&[run.path()]), |root| {
        let lines: Vec<&str> = root
            .descendants()
            .filter(|node| node.attribute("class") == Some("line c1"))
            .filter_map(|line| line.attribute("d"))
            .filter(|path| !path.starts_with("M1 5"))
            .collect();
        // Two points, and the one after the gap.
        assert_eq!(lines[0].matches('M').count(), 2, "{}", lines[0]);
        assert_eq!(lines[0].matches('L').count(), 1, "{}", lines[0]);
        assert!(
            lines
                .iter()
                .all(|path| !path.contains("NaN") && !path.contains("inf")),
            "{lines:?}"
        );
    });
}
