//! What goes wrong in long runs: samples that can't be read, full disks, a second process, old files,
//! clocks that jump.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use candle_core::{DType, Device};
use unetr_data::{
    Compose, DataLoader, DataLoaderConfig, Dataset, HorizontalFlip, Normalize, Sample,
};
use unetr_model::{Mode, Parameters, Unetr, UnetrConfig};
use unetr_train::{
    Adam, AdamConfig, Checkpoints, Error, Objective, Outcome, Retention, RunLock, Schedule,
    StopSignal, SumLoss, Trainer, TrainerConfig,
};

use crate::trainer::{BATCHES, SIZE, Setup, Squares, StopAfter, epochs};

fn training_transforms() -> Compose {
    Compose::default()
        .then(HorizontalFlip::default())
        .then(Normalize::default())
}

fn loader(dataset: impl Dataset + 'static) -> DataLoader {
    let config = DataLoaderConfig {
        workers: 1,
        ..DataLoaderConfig::train(2)
    };
    DataLoader::new(dataset, training_transforms(), config).unwrap()
}

/// Squares of which one can't be read for a while.
struct Flaky(Arc<AtomicBool>, usize);

impl Dataset for Flaky {
    fn len(&self) -> usize {
        Squares.len()
    }

    fn get(&self, index: usize) -> unetr_data::Result<Sample> {
        if index == self.1 && self.0.load(Ordering::Relaxed) {
            let source = std::io::Error::other("the network drive is gone");
            return Err(unetr_data::Error::Io {
                path: "photo.jpg".into(),
                source,
            });
        }
        Squares.get(index)
    }
}

#[test]
fn a_sample_that_cannot_be_read_costs_no_update() {
    let whole = Setup::new(1);
    let config = epochs(2);
    let mut trainer = whole.trainer(SumLoss::tutorial(), config.clone());
    trainer.fit(&whole.train).unwrap();
    let broken = whole.train.epoch(0).nth(2).unwrap().unwrap().indices[1];

    let folder = tempfile::tempdir().unwrap();
    let is_broken = Arc::new(AtomicBool::new(true));
    let train = loader(Flaky(is_broken.clone(), broken));
    let first = Setup::new(1);
    let error = first
        .recorded(folder.path(), config.clone())
        .fit(&train)
        .unwrap_err();
    assert!(matches!(error, Error::Data(_)), "{error}");
    assert!(error.to_string().contains("photo.jpg"), "{error}");

    is_broken.store(false, Ordering::Relaxed);
    let second = Setup::new(2);
    let mut trainer = second.recorded(folder.path(), config).resume();
    assert_eq!(trainer.saved().unwrap().last().unwrap().step(), 2);
    assert_eq!(trainer.fit(&train).unwrap(), Outcome::Finished);
    assert!(second.values() == whole.values());
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    let mut trainer = setup.recorded(folder.path(), epochs(1));
    let other = RunLock::acquire(folder.path()).unwrap();
    let error = trainer.fit(&setup.train).unwrap_err();
    let Error::Locked { process, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*process, std::process::id().to_string());
    drop(other);
    trainer.fit(&setup.train).unwrap();
}

#[test]
fn what_cannot_be_written_ends_the_run_and_leaves_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    // The name of a file of the trainer's own, which is found out in the thread that writes.
    let mut trainer = setup
        .recorded(folder.path(), epochs(2))
        .attach("model.safetensors", &1)
        .unwrap();
    let error = trainer.fit(&setup.train).unwrap_err();
    assert!(matches!(error, Error::FileName { .. }), "{error}");
    let checkpoints = Checkpoints::open(folder.path(), Retention::default()).unwrap();
    assert_eq!(checkpoints.last(), None);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken");
    std::fs::write(&file, "a file, no folder").unwrap();
    let place = file.join("checkpoints");
    let setup = Setup::new(1);
    let checkpoints = Checkpoints::open(&place, Retention::default());
    let error = checkpoints.and_then(|checkpoints| {
        setup
            .trainer(SumLoss::tutorial(), epochs(1))
            .checkpoints(checkpoints)
            .fit(&setup.train)
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("taken"), "{error}");
    assert!(setup.values() == Setup::new(1).values());
}

#[test]
fn a_run_does_not_begin_where_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    let run = || setup.recorded(folder.path(), epochs(1));
    run().fit(&setup.train).unwrap();
    let open = || Checkpoints::open(folder.path(), Retention::default()).unwrap();
    let last = open().last().cloned();
    assert!(last.is_some());
    let error = run().fit(&setup.train).unwrap_err();
    assert!(matches!(error, Error::Occupied { .. }), "{error}");
    assert!(error.to_string().contains("Trainer::resume"), "{error}");
    assert_eq!(open().last().cloned(), last);
    run().resume().fit(&setup.train).unwrap();
}

#[test]
fn a_run_whose_checkpoints_cannot_be_read_does_not_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    let run = || setup.recorded(folder.path(), epochs(1));
    run().fit(&setup.train).unwrap();
    let checkpoints = Checkpoints::open(folder.path(), Retention::default()).unwrap();
    for checkpoint in checkpoints.list() {
        std::fs::remove_file(checkpoint.path().join("model.safetensors")).unwrap();
    }
    let error = run().resume().fit(&setup.train).unwrap_err().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
}

/// Sets when everything in a folder was last changed.
fn date(folder: &Path, time: SystemTime) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            date(&path, time);
        } else {
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        }
    }
}

/// After a clock has jumped, the last checkpoint may look older than the ones before, or as if it came
/// from the future.
#[test]
fn a_clock_that_jumps_changes_nothing() {
    let whole = Setup::new(1);
    let config = TrainerConfig {
        save_every_steps: Some(1),
        ..epochs(2)
    };
    whole
        .trainer(SumLoss::tutorial(), config.clone())
        .fit(&whole.train)
        .unwrap();

    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    for last in [SystemTime::now() + century, SystemTime::UNIX_EPOCH] {
        let folder = tempfile::tempdir().unwrap();
        let stop = StopSignal::default();
        let first = Setup::new(1);
        let step = BATCHES + 1;
        let mut trainer = first
            .recorded(folder.path(), config.clone())
            .callback(StopAfter(step, stop.clone()))
            .stop_signal(stop);
        trainer.fit(&first.train).unwrap();
        let saved = trainer.saved().unwrap();
        assert!(saved.best().is_some());
        let newest = saved.last().unwrap().path().to_owned();
        drop(trainer);
        date(folder.path(), SystemTime::now());
        date(&newest, last);

        let second = Setup::new(2);
        let mut trainer = second.recorded(folder.path(), config.clone()).resume();
        assert_eq!(trainer.saved().unwrap().last().unwrap().step(), step);
        assert_eq!(trainer.fit(&second.train).unwrap(), Outcome::Finished);
        assert!(second.values() == whole.values());
    }
}

const FOLDER: &str = "UNETR_TEST_FULL_DISK";

/// The run, when this binary is started by the test below.
#[test]
#[ignore = "a process that another test starts"]
fn a_run_on_a_full_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let setup = Setup::new(1);
    let mut trainer = setup.recorded(Path::new(&folder), epochs(3)).resume();
    let error = trainer.fit(&setup.train).unwrap_err();
    println!("the error: {error}");
}

/// A bound on the length of files fails a write in the middle, as a full disk does.
#[test]
#[cfg(unix)]
fn a_full_disk_is_a_clear_error_and_costs_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let stop = StopSignal::default();
    let first = Setup::new(1);
    let mut trainer = first
        .recorded(folder.path(), epochs(3))
        .callback(StopAfter(2, stop.clone()))
        .stop_signal(stop);
    trainer.fit(&first.train).unwrap();
    drop(trainer);

    let child = "ulimit -f 64; trap '' XFSZ; exec \"$0\" --exact drills::a_run_on_a_full_disk --ignored --nocapture";
    let output = Command::new("sh")
        .args(["-c", child])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let error = text
        .lines()
        .find(|line| line.contains("the error: "))
        .unwrap();
    assert!(error.contains(".safetensors: File too large"), "{error}");

    // Nothing is left of it, and with space there again the run goes on.
    let left = std::fs::read_dir(folder.path()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.starts_with(".tmp")));
    let (second, whole) = (Setup::new(2), Setup::new(1));
    let mut trainer = second.recorded(folder.path(), epochs(3)).resume();
    assert_eq!(trainer.saved().unwrap().last().unwrap().step(), 2);
    trainer.fit(&second.train).unwrap();
    whole
        .trainer(SumLoss::tutorial(), epochs(3))
        .fit(&whole.train)
        .unwrap();
    assert!(second.values() == whole.values());
}

#[test]
fn a_checkpoint_of_the_first_format_is_resumed() {
    let cfg = UnetrConfig {
        classes: 2,
        feature_size: 2,
        hidden_size: 8,
        mlp_size: 16,
        heads: 2,
        dropout: 0.1,
        ..UnetrConfig::tiny().with_image_size([SIZE as usize; 2])
    };
    let train = loader(Squares);
    let run = |seed, folder: &Path| {
        let parameters = Parameters::new(seed, DType::F32, &Device::Cpu);
        let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
        let adam = Adam::new(parameters.trainable(), AdamConfig::default()).unwrap();
        let retention = Retention::best(1, "validation/mean_iou", Objective::Max);
        let schedule = Schedule::Constant { lr: 3e-3 };
        let mut trainer = Trainer::new(
            &model,
            &parameters,
            SumLoss::tutorial(),
            adam,
            schedule,
            epochs(3),
        )
        .unwrap()
        .checkpoints(Checkpoints::open(folder, retention).unwrap())
        .attach("config.json", &cfg)
        .unwrap()
        .resume();
        let first = trainer
            .saved()
            .unwrap()
            .last()
            .map(unetr_train::Checkpoint::step);
        assert_eq!(trainer.fit(&train).unwrap(), Outcome::Finished);
        let batch = train.epoch(0).next().unwrap().unwrap();
        let logits = model.forward(&batch.images, Mode::Eval).unwrap();
        let logits = logits.flatten_all().unwrap();
        (first, logits.to_vec1::<f32>().unwrap())
    };
    let folders = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let saved =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/checkpoint_format_1");
    let step = folders[1].path().join("step-0000006");
    std::fs::create_dir(&step).unwrap();
    for file in std::fs::read_dir(saved).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), step.join(file.file_name())).unwrap();
    }
    let (none, whole) = run(1, folders[0].path());
    let (first, resumed) = run(2, folders[1].path());
    assert_eq!((none, first), (None, Some(BATCHES + 2)));
    // It was written on a processor whose sums may round otherwise than this one's. Adam makes whole steps of such
    // differences where the gradient is nothing else, as of a key's bias; they change nothing of what is computed.
    let difference = whole.iter().zip(&resumed).map(|(a, b)| (a - b).abs());
    let largest = difference.fold(0., f32::max);
    assert!(largest < 1e-4, "{largest}");
}
