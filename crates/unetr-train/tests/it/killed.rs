//! Runs in processes of their own that are killed at any moment, again and again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use unetr_metrics::MetricSet;
use unetr_model::UnetrConfig;
use unetr_train::{
    Checkpoints, Error, HistoryFile, Outcome, Recipe, RunLock, Trainer, TrainerConfig,
};

use crate::trainer::{Setup, everything, measured};

const FOLDER: &str = "UNETR_TEST_RUN_FOLDER";
const KIND: &str = "UNETR_TEST_RUN_KIND";
const PARAMETERS: &str = "parameters.json";
const EPOCHS: u64 = 6;
const BALLAST: usize = 1 << 20;

/// What a run is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Adam, and everything that a resumed run has to know about.
    Everything,
    /// The recipe for small networks, with its auxiliary heads and Muon.
    SmallRecipe,
}

impl Kind {
    fn setup(self) -> Setup {
        Setup::of(
            1,
            UnetrConfig {
                dropout: 0.1,
                auxiliary_heads: self == Self::SmallRecipe,
                ..UnetrConfig::tiny()
            },
        )
    }

    fn trainer<'a>(self, setup: &'a Setup, folder: &Path) -> Trainer<'a> {
        let trainer = match self {
            Self::Everything => setup.recorded(folder, everything(EPOCHS)),
            Self::SmallRecipe => Self::small(setup, folder),
        };
        // So that a checkpoint takes long enough to be killed in.
        trainer
            .attach("ballast.json", &"x".repeat(BALLAST))
            .unwrap()
    }

    fn small<'a>(setup: &'a Setup, folder: &Path) -> Trainer<'a> {
        let recipe = Recipe::small();
        let recipe = Recipe {
            trainer: TrainerConfig {
                epochs: EPOCHS,
                save_every_steps: Some(1),
                ..recipe.trainer
            },
            ..recipe
        };
        let (parameters, batches) = (&setup.parameters, setup.train.batches_per_epoch());
        recipe
            .trainer(&setup.model, parameters, batches)
            .unwrap()
            .metrics(MetricSet::new(["background", "square"]).unwrap())
            .validation(&setup.validation)
            .checkpoints(Checkpoints::open(folder, recipe.checkpoints.clone()).unwrap())
            .history_file(HistoryFile::open(folder.join("history.jsonl")).unwrap())
    }
}

/// The run, when this binary is started by [`start`].
#[test]
#[ignore = "a process that another test starts and kills"]
fn a_run_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let name = std::env::var(KIND).unwrap();
    let mut kinds = [Kind::Everything, Kind::SmallRecipe].into_iter();
    let kind = kinds.find(|kind| format!("{kind:?}") == name);
    let kind = kind.unwrap();
    let setup = kind.setup();
    let mut trainer = kind.trainer(&setup, &folder).resume();
    assert_eq!(trainer.fit(&setup.train).unwrap(), Outcome::Finished);
    let values = serde_json::to_vec(&setup.values()).unwrap();
    let aside = folder.join("parameters.tmp");
    std::fs::write(&aside, values).unwrap();
    std::fs::rename(aside, folder.join(PARAMETERS)).unwrap();
}

fn start(kind: Kind, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::a_run_in_a_process_of_its_own",
            "--ignored",
        ])
        .env(FOLDER, folder)
        .env(KIND, format!("{kind:?}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Whether a checkpoint has been begun and is not yet in its place.
fn has_begun(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name());
    names.any(|name| name.to_str().unwrap().starts_with(".tmp-step-"))
}

#[test]
fn a_run_that_is_killed_many_times_equals_one_that_is_not() {
    kill_again_and_again(Kind::Everything);
}

#[test]
fn a_run_by_the_small_recipe_that_is_killed_equals_one_that_is_not() {
    kill_again_and_again(Kind::SmallRecipe);
}

fn kill_again_and_again(kind: Kind) {
    let whole = tempfile::tempdir().unwrap();
    let setup = kind.setup();
    let started = Instant::now();
    kind.trainer(&setup, whole.path())
        .fit(&setup.train)
        .unwrap();
    let duration = started.elapsed();
    let history = |folder: &Path| {
        let history = HistoryFile::read(folder.join("history.jsonl")).unwrap();
        measured(history.records())
    };

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut kills, mut torn, mut state) = (0, 0, 12_u64);
    let values = loop {
        // What a kill has left stays until the next checkpoint is begun.
        let left = has_begun(folder);
        let mut child = start(kind, folder);
        // Killed while it starts, trains, saves or evaluates; later and later, so that it gets there.
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let share = (state >> 40) as f64 / (1_u64 << 24) as f64;
        std::thread::sleep(duration.mul_f64(share * (0.15 + 0.02 * f64::from(kills))));
        // Every second time while a checkpoint is written, which does not take long.
        let waits = !left && (torn == 0 || kills % 2 == 0);
        while waits && !has_begun(folder) && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        match child.try_wait().unwrap() {
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                torn += u32::from(!left && has_begun(folder));
            }
            Some(status) => {
                let output = child.wait_with_output().unwrap();
                let message = String::from_utf8_lossy(&output.stderr);
                assert!(status.success(), "after {kills} kills: {message}");
                break std::fs::read(folder.join(PARAMETERS)).unwrap();
            }
        }
        assert!(kills < 500, "the run does not get on");
        std::thread::sleep(Duration::from_millis(1));
    };
    println!("{kills} kills, {torn} of them while a checkpoint was written");
    assert!(kills >= 5, "only {kills} kills");
    assert!(torn >= 1, "no kill while a checkpoint was written");
    let values: Vec<(String, Vec<f32>)> = serde_json::from_slice(&values).unwrap();
    assert!(values == setup.values(), "after {kills} kills");
    assert_eq!(history(folder), history(whole.path()));
}

// Elsewhere a file that is locked can't be read.
#[cfg(unix)]
#[test]
fn a_second_process_is_told_which_one_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let setup = Kind::Everything.setup();
    let mut child = start(Kind::Everything, folder);
    let holder = || std::fs::read_to_string(folder.join(".lock")).unwrap_or_default();
    let pid = child.id().to_string();
    while holder().trim() != pid {
        assert!(child.try_wait().unwrap().is_none(), "the run ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut trainer = Kind::Everything.trainer(&setup, folder).resume();
    let error = trainer.fit(&setup.train).unwrap_err();
    let Error::Locked { process, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*process, pid);
    child.kill().unwrap();
    child.wait().unwrap();
    RunLock::acquire(folder).unwrap();
}
