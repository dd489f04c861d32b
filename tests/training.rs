//! The examples that train as processes: what configures them, stops them, and what they say and leave.
#![allow(clippy::unwrap_used, clippy::panic)]

mod process;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Output, Stdio};

use process::{example, text};
use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/oxford_pets_sample");

/// A network of the smallest size on the sample of pets.
const TINY: [&str; 9] = [
    "--data",
    SAMPLE,
    "--split",
    "official",
    "--preset",
    "tiny",
    "--image-size",
    "32",
    "--device=cpu",
];

fn pets(out: &Path, arguments: &[&str]) -> Output {
    let mut process = example("oxford_pets");
    process.args(TINY).arg("--out").arg(out).args(arguments);
    process.output().unwrap()
}

fn succeeds(output: &Output) -> (String, String) {
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    (said, errors)
}

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn records(out: &Path) -> usize {
    fs::read_to_string(out.join("history.jsonl")).map_or(0, |text| text.lines().count())
}

/// Asserts that the first line that begins so has these parts.
fn has_line(text: &str, start: &str, parts: &[&str]) {
    let line = text.lines().find(|line| line.starts_with(start)).unwrap();
    for part in parts {
        assert!(line.contains(part), "{part:?} in {line}");
    }
}

#[test]
fn flags_come_on_top_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recipe.toml");
    let recipe = "batch_size = 4\n[optimizer]\nkind = \"adamw\"\nweight_decay = 0.2\n\
                  [schedule]\nkind = \"linear\"\npeak = 0.002\n\
                  [trainer]\nseed = 5\nlog_every = 3\nmax_steps = 9\n";
    fs::write(&file, recipe).unwrap();
    let config = ["--config", file.to_str().unwrap(), "--max-steps", "2"];
    let config_of = |name: &str, flags: &[&str]| {
        let out = folder.path().join(name);
        succeeds(&pets(&out, &[&config[..], flags].concat()));
        json(out.join("config.json"))
    };

    let file_alone = config_of("file", &[]);
    let (recipe, train) = (&file_alone["recipe"], &file_alone["train"]);
    assert_eq!(recipe["trainer"]["seed"], 5);
    assert_eq!(train["seed"], 5);
    assert_eq!(recipe["trainer"]["log_every"], 3);
    assert_eq!(recipe["trainer"]["max_steps"], 2);
    assert_eq!(train["batch_size"], 4);
    assert_eq!(recipe["optimizer"]["weight_decay"], 0.2);

    // What is of the kind already keeps its settings, and another schedule the highest rate.
    let same = [
        "--seed",
        "7",
        "--optimizer",
        "adamw",
        "--schedule",
        "cosine",
    ];
    let with_flags = config_of("flags", &same);
    let recipe = &with_flags["recipe"];
    assert_eq!(recipe["trainer"]["seed"], 7);
    assert_eq!(with_flags["train"]["seed"], 7);
    assert_eq!(recipe["optimizer"]["weight_decay"], 0.2);
    assert_eq!(recipe["schedule"]["kind"], "cosine");
    assert_eq!(recipe["schedule"]["peak"], 0.002);

    fs::write(&file, "[trainer]\nsede = 5\n").unwrap();
    let output = pets(&folder.path().join("wrong"), &config);
    assert!(!output.status.success());
    let errors = text(&output.stderr);
    assert!(
        errors.contains("trainer") && errors.contains("sede"),
        "{errors}"
    );
    assert!(!folder.path().join("wrong").exists());
}

#[test]
fn a_finished_run_leaves_all_that_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let (said, errors) = succeeds(&pets(
        &out,
        &["--recipe", "small", "--epochs", "1", "--max-steps", "20"],
    ));
    assert!(said.contains("finished; look at"), "{said}");
    // Lines, since this is no terminal.
    has_line(
        &errors,
        "step ",
        &[
            "/20 loss ",
            " cross_entropy ",
            " gradient ",
            " lr ",
            " images/s ",
            " GB",
            " left",
        ],
    );
    has_line(
        &errors,
        "epoch 1 (step 20)",
        &[
            "train: running loss ",
            "validation: loss ",
            " mean IoU ",
            " images/s, ",
        ],
    );

    let scores = &json(out.join("evaluation.json"))["scores"];
    for name in [
        "mean_iou",
        "mean_iou_without/boundary",
        "mean_dice",
        "precision/pet",
        "recall/pet",
        "mean_boundary_iou",
        "boundary_iou/pet",
        "iou/foreground",
        "iou_imagewise/foreground",
    ] {
        assert!(scores[name].is_number(), "{name} in {scores}");
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for part in ["Boundary IoU", "foreground", "Mean without boundary"] {
        assert!(page.contains(part), "{part}");
    }

    let output = pets(&out, &["--recipe", "small"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("already holds a run"));
}

/// Waits for a line on the standard error stream that begins so; gives the rest of the stream.
fn wait_for(child: &mut Child, start: &str) -> impl Read + use<> {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(start) {
        line.clear();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "no line begins with {start:?}"
        );
    }
    lines
}

#[cfg(unix)]
#[test]
fn a_run_that_is_asked_to_stop_saves_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = ["--recipe", "small", "--epochs", "4", "--resume"];
    for signal in ["TERM", "INT"] {
        let mut process = example("oxford_pets");
        let process = process.args(TINY).arg("--out").arg(&out).args(arguments);
        let mut child = process
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = wait_for(&mut child, "step ");
        // Of the shell's own: not every system has a program of that name.
        let kill = format!("kill -s {signal} {}", child.id());
        let kill = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(kill.unwrap().success());
        let mut rest = String::new();
        errors.read_to_string(&mut rest).unwrap();
        let output = child.wait_with_output().unwrap();
        let (said, _) = succeeds(&output);
        assert!(rest.contains("finishing the step and saving"), "{rest}");
        assert!(
            said.contains("stopped; the same command with --resume goes on"),
            "{said}"
        );
        assert!(out.join("checkpoints/last/state.json").exists());
        assert!(out.join("report.html").exists() && !out.join("model").exists());
        assert!(records(&out) < 4);
    }
    let (said, _) = succeeds(&pets(&out, &arguments));
    assert!(said.contains("finished; look at"), "{said}");
    assert_eq!(records(&out), 4);
}

#[test]
fn the_learning_rate_is_searched_for() {
    let folder = tempfile::tempdir().unwrap();
    let (said, _) = succeeds(&pets(
        folder.path(),
        &["--recipe", "small", "--find-lr", "--max-steps", "40"],
    ));
    assert!(said.contains("learning rate"), "{said}");
    let sweep = json(folder.path().join("lr_sweep.json"));
    assert_eq!(sweep["config"]["steps"], 40);
    assert!(sweep["points"].as_array().unwrap().len() > 20);
    assert!(!folder.path().join("history.jsonl").exists());
}

#[test]
fn folders_of_ones_own_are_verified_and_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let folders = |classes: &str, ignored: &str| {
        let [images, masks] =
            ["images", "annotations/trimaps"].map(|part| format!("{SAMPLE}/{part}"));
        let flags = [
            "--images",
            &images,
            "--masks",
            &masks,
            "--classes",
            classes,
            "--ignore",
            ignored,
        ];
        flags.map(str::to_owned)
    };
    let verify = |classes, ignored| {
        let mut verify = example("verify");
        verify
            .arg("folders")
            .args(folders(classes, ignored))
            .output()
            .unwrap()
    };
    let (said, _) = succeeds(&verify("pet=1,background=2", "3"));
    assert!(said.contains("background"), "{said}");
    let unnamed = text(&verify("pet=1", "3").stdout);
    assert!(unnamed.contains("mask value 2"), "{unnamed}");
    let twice = text(&verify("pet=1,background=2", "2").stderr);
    assert!(twice.contains("give the value 2 twice"), "{twice}");

    let run = folder.path().join("run");
    let mut train = example("folders");
    train.args(folders("pet=1,background=2", "3"));
    let flags = [
        "--preset",
        "tiny",
        "--image-size",
        "32",
        "--max-steps",
        "2",
        "--device=cpu",
        "--out",
    ];
    succeeds(&train.args(flags).arg(&run).output().unwrap());
    let classes = fs::read_to_string(run.join("model/classes.json")).unwrap();
    assert!(
        classes.contains("background") && !classes.contains("boundary"),
        "{classes}"
    );
    let config: Value =
        serde_json::from_slice(&fs::read(run.join("config.json")).unwrap()).unwrap();
    for term in config["recipe"]["loss"].as_array().unwrap() {
        assert_eq!(term["ignore_index"], 255);
    }
}

#[test]
fn a_network_of_ones_own_is_trained_and_reported_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("shapes");
    let mut custom = example("custom_dataset");
    succeeds(
        &custom
            .args(["--epochs", "1", "--out"])
            .arg(&run)
            .output()
            .unwrap(),
    );
    assert!(run.join("checkpoints/best").exists());
    let page = folder.path().join("again.html");
    let mut report = example("report");
    let output = report
        .args([&run, &run])
        .arg("--out")
        .arg(&page)
        .output()
        .unwrap();
    succeeds(&output);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("triangle") && page.contains("Side by side"));
}
