use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use unetr_train::{Checkpoint, Checkpoints, Error, Objective, Retention};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct State {
    seed: u64,
    position: usize,
}

fn open(folder: &Path, best: usize, mode: Objective) -> Checkpoints {
    Checkpoints::open(folder, Retention::best(best, "score", mode)).unwrap()
}

fn score(value: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([("score".to_owned(), value)])
}

fn save(checkpoints: &mut Checkpoints, step: u64, value: f64) {
    let state = State {
        seed: 12,
        position: step as usize,
    };
    checkpoints
        .save(step / 10, step, &score(value), &state, |files| {
            files.bytes("model.bin", &step.to_le_bytes())
        })
        .unwrap();
}

fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
    checkpoints.list().iter().map(Checkpoint::step).collect()
}

/// What is in a folder, but for the links to checkpoints.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.is_symlink())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut checkpoints = open(&run, 1, Objective::Max);
    assert!(checkpoints.list().is_empty() && !run.exists());

    let weight = Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu).unwrap();
    let tensors = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let metadata = BTreeMap::from([("config".to_owned(), "{}".to_owned())]);
    let state = State {
        seed: 12,
        position: 71,
    };
    checkpoints
        .save(1, 71, &score(f64::NAN), &state, |files| {
            files.tensors("model.safetensors", &tensors, &metadata)?;
            files.json("extra.json", &[1, 2, 3])
        })
        .unwrap();

    assert_eq!(names(&run), ["step-0000071"]);
    let checkpoint = open(&run, 1, Objective::Max).last().unwrap().clone();
    assert_eq!((checkpoint.step(), checkpoint.epoch()), (71, 1));
    assert_eq!(checkpoint.version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(checkpoint.state::<State>().unwrap(), state);
    assert_eq!(checkpoint.json::<Vec<u8>>("extra.json").unwrap(), [1, 2, 3]);
    assert!(checkpoint.metrics()["score"].is_nan());
    let read = checkpoint
        .tensors("model.safetensors", &Device::Cpu)
        .unwrap();
    assert_eq!(
        read["weight"].to_vec2::<f32>().unwrap(),
        weight.to_vec2::<f32>().unwrap()
    );
    assert_eq!(
        checkpoint.tensors_metadata("model.safetensors").unwrap(),
        metadata
    );
    let error = checkpoint.bytes("optimizer.safetensors").unwrap_err();
    assert!(error.to_string().contains("step-0000071"), "{error}");
    assert!(
        error
            .to_string()
            .contains("optimizer.safetensors: No such file"),
        "{error}"
    );
}

#[test]
fn the_best_two_and_the_last_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 2, Objective::Max);
    for (step, value) in [(10, 0.3), (20, 0.5), (30, 0.4), (40, 0.2), (50, 0.1)] {
        save(&mut checkpoints, step, value);
    }
    assert_eq!(steps(&checkpoints), [20, 30, 50]);
    assert_eq!(
        names(folder.path()),
        ["step-0000020", "step-0000030", "step-0000050"]
    );
    let reopened = open(folder.path(), 2, Objective::Max);
    assert_eq!(reopened.list(), checkpoints.list());
    assert_eq!(
        (
            reopened.best().unwrap().step(),
            reopened.last().unwrap().step()
        ),
        (20, 50)
    );
    assert_eq!(
        open(folder.path(), 2, Objective::Min)
            .best()
            .unwrap()
            .step(),
        50
    );
}

#[test]
fn ties_go_to_the_earlier_and_nan_is_never_best() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 1, Objective::Min);
    save(&mut checkpoints, 10, f64::NAN);
    assert_eq!(checkpoints.best(), None);
    assert_eq!(checkpoints.last().unwrap().step(), 10);
    for (step, value) in [(20, 0.5), (30, 0.5), (40, f64::NAN)] {
        save(&mut checkpoints, step, value);
    }
    assert_eq!(checkpoints.best().unwrap().step(), 20);
    assert_eq!(steps(&checkpoints), [20, 40]);
}

#[test]
fn a_failed_save_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 1, Objective::Max);
    save(&mut checkpoints, 10, 0.5);
    let error = checkpoints
        .save(1, 10, &score(0.9), &(), |files| {
            files.bytes("model.bin", b"half")?;
            files.bytes("state.json", b"reserved")
        })
        .unwrap_err();
    assert!(matches!(error, Error::FileName { .. }), "{error}");
    let mut reopened = open(folder.path(), 1, Objective::Max);
    assert_eq!(reopened.list(), checkpoints.list());
    assert_eq!(
        reopened.best().unwrap().bytes("model.bin").unwrap(),
        10u64.to_le_bytes()
    );

    // Nothing of it is left, and what a killed process has left goes with the next save.
    assert_eq!(names(folder.path()), ["step-0000010"]);
    fs::create_dir(folder.path().join(".tmp-step-0000010")).unwrap();
    fs::write(folder.path().join(".tmp-step-0000010/model.bin"), b"ha").unwrap();
    save(&mut reopened, 20, 0.9);
    assert_eq!(names(folder.path()), ["step-0000020"]);
}

#[test]
fn the_last_ones_and_those_of_chosen_epochs_stay() {
    let folder = tempfile::tempdir().unwrap();
    let retention = Retention::best(1, "score", Objective::Max).last(2);
    let retention = retention.every_epochs(2);
    let mut checkpoints = Checkpoints::open(folder.path(), retention).unwrap();
    // A tenth of the step is the epoch; 25 and 45 are within the epochs after the second and the fourth.
    for (step, value) in [(10, 0.9), (20, 0.1), (25, 0.1), (30, 0.1), (40, 0.1)] {
        save(&mut checkpoints, step, value);
    }
    assert_eq!(steps(&checkpoints), [10, 20, 30, 40]);
    for step in [45, 50, 55] {
        save(&mut checkpoints, step, 0.1);
    }
    assert_eq!(steps(&checkpoints), [10, 20, 40, 50, 55]);
}

#[test]
fn checkpoints_have_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 1, Objective::Max);
    let error = checkpoints.named("best").unwrap_err();
    assert!(matches!(error, Error::NoCheckpoint { .. }), "{error}");
    for (step, value) in [(10, 0.3), (20, 0.5), (30, 0.4)] {
        save(&mut checkpoints, step, value);
    }
    let step = |checkpoints: &Checkpoints, name| checkpoints.named(name).unwrap().step();
    assert_eq!(step(&checkpoints, "best"), 20);
    assert_eq!(step(&checkpoints, "last"), 30);
    assert_eq!(step(&checkpoints, "step-0000020"), 20);
    let error = checkpoints.named("step-0000010").unwrap_err().to_string();
    assert!(error.contains("[20, 30]"), "{error}");
    if cfg!(unix) {
        let step = |name| Checkpoint::open(folder.path().join(name)).unwrap().step();
        assert_eq!((step("best"), step("last")), (20, 30));
        checkpoints.rewind(20).unwrap();
        assert_eq!((step("best"), step("last")), (20, 20));
    }
}

#[test]
fn what_is_not_what_was_written_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 3, Objective::Max);
    save(&mut checkpoints, 10, 0.5);
    save(&mut checkpoints, 20, 0.6);
    let model = checkpoints.last().unwrap().path().join("model.bin");
    let bytes = fs::read(&model).unwrap();

    // A bit that has turned over: found when the file is read.
    let mut turned = bytes.clone();
    turned[3] ^= 1;
    fs::write(&model, &turned).unwrap();
    let reopened = open(folder.path(), 3, Objective::Max);
    let error = reopened.last().unwrap().bytes("model.bin").unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(
        error.to_string().contains("step-0000020/model.bin"),
        "{error}"
    );

    // One that is too short is none, and the one before is the last.
    fs::write(&model, &bytes[..5]).unwrap();
    assert_eq!(steps(&open(folder.path(), 3, Objective::Max)), [10]);
    fs::remove_file(&model).unwrap();
    assert_eq!(steps(&open(folder.path(), 3, Objective::Max)), [10]);
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 1, Objective::Max);
    for name in ["", "..", "../model.bin", "a/b", "metrics.json"] {
        let result = checkpoints.save(1, 10, &score(0.5), &(), |files| files.bytes(name, b""));
        assert!(matches!(result, Err(Error::FileName { .. })), "{name}");
    }
    let twice = checkpoints.save(1, 10, &score(0.5), &(), |files| {
        files.bytes("model.bin", b"1")?;
        files.bytes("model.bin", b"2")
    });
    assert!(matches!(twice, Err(Error::FileName { .. })));
}

#[test]
fn a_step_is_replaced_and_a_run_rewound() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 3, Objective::Max);
    for (step, value) in [(10, 0.1), (20, 0.2), (30, 0.3)] {
        save(&mut checkpoints, step, value);
    }
    save(&mut checkpoints, 20, 0.9);
    assert_eq!(steps(&checkpoints), [10, 20, 30]);
    assert_eq!(checkpoints.best().unwrap().metrics()["score"], 0.9);
    checkpoints.rewind(20).unwrap();
    assert_eq!(steps(&checkpoints), [10, 20]);
    assert_eq!(names(folder.path()), ["step-0000010", "step-0000020"]);
}

#[cfg(unix)]
#[test]
fn a_name_leads_to_a_checkpoint_or_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let mut checkpoints = open(folder.path(), 1, Objective::Max);
    save(&mut checkpoints, 10, f64::NAN);
    assert!(place("last").exists() && !place("best").is_symlink());
    save(&mut checkpoints, 20, 0.5);
    assert!(place("best").join("model.bin").exists());
    checkpoints.rewind(10).unwrap();
    for name in ["best", "last"] {
        assert!(!place(name).is_symlink(), "{name}");
    }

    // What is no link, as in a copy of the folder, is left alone and is no reason to end a run.
    std::fs::create_dir(place("last")).unwrap();
    std::fs::write(place("last").join("model.bin"), "a copy").unwrap();
    save(&mut checkpoints, 25, 0.5);
    assert!(!place("last").is_symlink() && !place(".tmp-last").is_symlink());
    std::fs::remove_dir_all(place("last")).unwrap();

    // Where none is kept as one of the best, the best of those that are kept is.
    let mut checkpoints = open(folder.path(), 0, Objective::Max);
    save(&mut checkpoints, 30, 0.9);
    save(&mut checkpoints, 40, 0.1);
    for name in ["best", "last"] {
        assert!(place(name).join("model.bin").exists(), "{name}");
    }
}

#[test]
fn damaged_and_foreign_checkpoints_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 3, Objective::Max);
    save(&mut checkpoints, 10, 0.5);
    let path = checkpoints.last().unwrap().path().to_owned();
    let state = fs::read_to_string(path.join("state.json")).unwrap();

    fs::write(
        path.join("state.json"),
        state.replace("\"format\": 2", "\"format\": 3"),
    )
    .unwrap();
    let error = Checkpoint::open(&path).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Format {
                found: 3,
                expected: 2,
                ..
            }
        ),
        "{error}"
    );

    fs::write(path.join("state.json"), &state[..state.len() / 2]).unwrap();
    let error = Checkpoint::open(&path).unwrap_err();
    assert!(matches!(error, Error::Json { .. }) && error.to_string().contains("state.json"));

    fs::write(path.join("state.json"), &state).unwrap();
    let error = Checkpoint::open(&path)
        .unwrap()
        .tensors("model.bin", &Device::Cpu)
        .unwrap_err();
    assert!(matches!(error, Error::Safetensors { .. }) && error.to_string().contains("model.bin"));

    fs::remove_file(path.join("metrics.json")).unwrap();
    assert!(open(folder.path(), 3, Objective::Max).list().is_empty());
}
