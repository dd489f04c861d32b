//! Runs in processes of their own that are killed at any moment, again and again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use unetr_train::{HistoryFile, Outcome, TrainerConfig};

use crate::trainer::{Setup, everything, measured};

const FOLDER: &str = "UNETR_TEST_RUN_FOLDER";
const PARAMETERS: &str = "parameters.json";

fn config() -> TrainerConfig {
    everything(6)
}

/// The run, when this binary is started by [`start`].
#[test]
#[ignore = "a process that another test starts and kills"]
fn a_run_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let setup = Setup::new(1);
    let mut trainer = setup.recorded(&folder, config()).resume();
    assert_eq!(trainer.fit(&setup.train).unwrap(), Outcome::Finished);
    let values = serde_json::to_vec(&setup.values()).unwrap();
    let aside = folder.join("parameters.tmp");
    std::fs::write(&aside, values).unwrap();
    std::fs::rename(aside, folder.join(PARAMETERS)).unwrap();
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::a_run_in_a_process_of_its_own",
            "--ignored",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_run_that_is_killed_many_times_equals_one_that_is_not() {
    let whole = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    let started = Instant::now();
    setup
        .recorded(whole.path(), config())
        .fit(&setup.train)
        .unwrap();
    let duration = started.elapsed();
    let history = |folder: &Path| {
        let history = HistoryFile::read(folder.join("history.jsonl")).unwrap();
        measured(history.records())
    };

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut kills, mut state) = (0, 12_u64);
    let values = loop {
        let mut child = start(folder);
        // Killed while it starts, trains, saves or evaluates; later and later, so that it gets there.
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let share = (state >> 40) as f64 / (1_u64 << 24) as f64;
        std::thread::sleep(duration.mul_f64(share * (0.15 + 0.02 * f64::from(kills))));
        match child.try_wait().unwrap() {
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
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
    println!("{kills} kills");
    assert!(kills >= 5, "only {kills} kills");
    let values: Vec<(String, Vec<f32>)> = serde_json::from_slice(&values).unwrap();
    assert!(values == setup.values(), "after {kills} kills");
    assert_eq!(history(folder), history(whole.path()));
}
