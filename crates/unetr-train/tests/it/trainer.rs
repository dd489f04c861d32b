//! Whole runs on squares in noise.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Device, Tensor};
use image::{GrayImage, Luma, Rgb, RgbImage};
use unetr_data::{
    Compose, DataLoader, DataLoaderConfig, Dataset, HorizontalFlip, Normalize, OnBroken, Sample,
};
use unetr_metrics::MetricSet;
use unetr_model::{Parameters, Unetr, UnetrConfig};
use unetr_train::{
    Adam, AdamConfig, Callback, Checkpoint, Checkpoints, EarlyStopping, EmaConfig, Error,
    HistoryFile, Loss, LossValue, Objective, Outcome, Plan, Record, Retention, Schedule, Split,
    StepReport, StopSignal, SumLoss, Trainer, TrainerConfig,
};

pub const SIZE: u32 = 32;
pub const BATCHES: u64 = 4;

/// Bright squares, class 1, on dark noise, class 0.
pub struct Squares;

impl Dataset for Squares {
    fn len(&self) -> usize {
        8
    }

    fn get(&self, index: usize) -> unetr_data::Result<Sample> {
        let left = 2 + index as u32 * 2;
        let inside = |x: u32, y: u32| (left..left + 12).contains(&x) && (8..22).contains(&y);
        let noise = |x: u32, y: u32| ((x * 37 + y * 101 + index as u32 * 53) % 71) as u8;
        let pixel = |x, y| Rgb([noise(x, y) + if inside(x, y) { 150 } else { 0 }; 3]);
        let image = RgbImage::from_fn(SIZE, SIZE, pixel);
        let mask = GrayImage::from_fn(SIZE, SIZE, |x, y| Luma([u8::from(inside(x, y))]));
        Ok(Sample::new(self.name(index), image, mask))
    }
}

pub struct Setup {
    pub model: Unetr,
    pub parameters: Parameters,
    pub train: DataLoader,
    pub validation: DataLoader,
}

impl Setup {
    pub fn new(seed: u64) -> Self {
        Self::of(
            seed,
            UnetrConfig {
                dropout: 0.1,
                ..UnetrConfig::tiny()
            },
        )
    }

    pub fn without_dropout(seed: u64) -> Self {
        Self::of(seed, UnetrConfig::tiny())
    }

    /// A network for squares.
    pub fn of(seed: u64, cfg: UnetrConfig) -> Self {
        let cfg = UnetrConfig {
            classes: 2,
            ..cfg.with_image_size([SIZE as usize; 2])
        };
        let parameters = Parameters::new(seed, DType::F32, &Device::Cpu);
        let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
        let augment = Compose::default()
            .then(HorizontalFlip::default())
            .then(Normalize::default());
        let plain = Compose::default().then(Normalize::default());
        let workers = |config| DataLoaderConfig {
            workers: 1,
            ..config
        };
        Self {
            model,
            parameters,
            train: DataLoader::new(Squares, augment, workers(DataLoaderConfig::train(2))).unwrap(),
            validation: DataLoader::new(Squares, plain, workers(DataLoaderConfig::evaluation(4)))
                .unwrap(),
        }
    }

    pub fn trainer<'a>(&'a self, loss: impl Loss + 'a, config: TrainerConfig) -> Trainer<'a> {
        let adam = Adam::new(self.parameters.trainable(), AdamConfig::default()).unwrap();
        let schedule = Schedule::Constant { lr: 3e-3 };
        Trainer::new(&self.model, &self.parameters, loss, adam, schedule, config)
            .unwrap()
            .metrics(MetricSet::new(["background", "square"]).unwrap())
            .validation(&self.validation)
    }

    /// A run that keeps checkpoints and its history in a folder.
    pub fn recorded(&self, folder: &Path, config: TrainerConfig) -> Trainer<'_> {
        let retention = Retention::best(1, "validation/mean_iou", Objective::Max);
        self.trainer(SumLoss::tutorial(), config)
            .checkpoints(Checkpoints::open(folder, retention).unwrap())
            .history_file(HistoryFile::open(folder.join("history.jsonl")).unwrap())
    }

    pub fn values(&self) -> Vec<(String, Vec<f32>)> {
        let values = |var: &Tensor| var.flatten_all().unwrap().to_vec1().unwrap();
        let variables = self.parameters.variables().into_iter();
        variables.map(|(name, var)| (name, values(&var))).collect()
    }
}

/// What of a history does not depend on the clock.
pub fn measured(records: &[Record]) -> Vec<(u64, u64, f64, BTreeMap<String, f64>)> {
    let parts = |record: &Record| (record.epoch, record.step, record.lr, record.flat_metrics());
    records.iter().map(parts).collect()
}

/// Asks for a stop after an update.
pub struct StopAfter(pub u64, pub StopSignal);

impl Callback for StopAfter {
    fn on_step(&mut self, report: &StepReport) {
        if report.step == self.0 {
            self.1.raise();
        }
    }
}

pub fn epochs(epochs: u64) -> TrainerConfig {
    TrainerConfig {
        epochs,
        ..TrainerConfig::default()
    }
}

#[test]
fn a_run_learns() {
    let setup = Setup::new(1);
    let mut trainer = setup.trainer(SumLoss::tutorial(), epochs(8));
    assert_eq!(trainer.fit(&setup.train).unwrap(), Outcome::Finished);
    let losses = trainer.history().series(Split::Train, "running_loss");
    assert_eq!(losses.len(), 8);
    let (first, last) = (losses[0].1, losses[7].1);
    assert!(last < 0.5 * first, "{losses:?}");
    let record = trainer.history().last().unwrap();
    assert_eq!(
        (record.epoch, record.step, record.lr),
        (8, 8 * BATCHES, 3e-3)
    );
    let iou = record.get(Split::Validation, "mean_iou").unwrap();
    assert!(iou > 0.8, "{iou}");
}

/// Everything that a resumed run has to know about.
pub fn everything(epochs: u64) -> TrainerConfig {
    TrainerConfig {
        epochs,
        // Four batches make two updates, the second one of a single batch.
        accumulate: 3,
        clip_norm: Some(0.5),
        clip_value: Some(0.1),
        ema: Some(EmaConfig {
            decay: 0.9,
            every: 2,
        }),
        save_every_steps: Some(1),
        early_stopping: Some(EarlyStopping {
            patience: 10,
            ..EarlyStopping::default()
        }),
        ..TrainerConfig::default()
    }
}

#[test]
fn a_stopped_and_resumed_run_equals_one_that_was_not() {
    // In the first epoch, in the second one, and where an epoch ends.
    stop_and_resume(&epochs(3), &[2, 7, 8]);
    stop_and_resume(&everything(3), &[1, 2, 3, 5]);
}

fn stop_and_resume(config: &TrainerConfig, steps: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    let whole = Setup::new(1);
    let mut trainer = whole.recorded(folder.path(), config.clone());
    trainer.fit(&whole.train).unwrap();
    let history = measured(trainer.history().records());
    assert_eq!(history.len(), 3);

    for &step in steps {
        let folder = tempfile::tempdir().unwrap();
        let stop = StopSignal::default();
        let first = Setup::new(1);
        let mut trainer = first
            .recorded(folder.path(), config.clone())
            .callback(StopAfter(step, stop.clone()))
            .stop_signal(stop);
        assert_eq!(trainer.fit(&first.train).unwrap(), Outcome::Stopped);
        assert_eq!(trainer.saved().unwrap().last().unwrap().step(), step);
        assert_ne!(first.values(), whole.values());
        drop(trainer);

        // Other initial parameters: all that counts is in the checkpoint.
        let second = Setup::new(2);
        let mut trainer = second.recorded(folder.path(), config.clone()).resume();
        assert_eq!(trainer.fit(&second.train).unwrap(), Outcome::Finished);
        assert_eq!(
            measured(trainer.history().records()),
            history,
            "stopped at {step}"
        );
        assert!(second.values() == whole.values(), "stopped at {step}");
    }
}

/// Asks for a stop while the `n`th evaluation is going on.
struct StopInEvaluation(u64, StopSignal);

impl Callback for StopInEvaluation {
    fn on_evaluation_start(&mut self, _: Split, _: u64) {
        self.0 -= 1;
        if self.0 == 0 {
            self.1.raise();
        }
    }
}

#[test]
fn a_stop_during_an_evaluation_makes_no_more_updates() {
    let config = TrainerConfig {
        eval_every: 1,
        ..epochs(3)
    };
    let whole = Setup::new(1);
    whole
        .trainer(SumLoss::tutorial(), config.clone())
        .fit(&whole.train)
        .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let stop = StopSignal::default();
    let first = Setup::new(1);
    let mut trainer = first
        .recorded(folder.path(), config.clone())
        .callback(StopInEvaluation(2, stop.clone()))
        .stop_signal(stop);
    assert_eq!(trainer.fit(&first.train).unwrap(), Outcome::Stopped);
    assert_eq!(trainer.history().records().len(), 2);
    let last = trainer.saved().unwrap().last().unwrap();
    assert_eq!(last.step(), 2 * BATCHES);
    // The checkpoint of the evaluation is still there, with what was measured.
    assert!(last.metrics().contains_key("validation/mean_iou"));
    drop(trainer);

    let second = Setup::new(2);
    let mut trainer = second.recorded(folder.path(), config).resume();
    assert_eq!(trainer.fit(&second.train).unwrap(), Outcome::Finished);
    assert!(second.values() == whole.values());
}

#[test]
fn a_run_resumed_without_a_history_file_has_a_new_history() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let retention = Retention::best(1, "validation/mean_iou", Objective::Max);
        Checkpoints::open(folder.path(), retention).unwrap()
    };
    let config = |max_steps| TrainerConfig {
        max_steps: Some(max_steps),
        ..epochs(2)
    };
    for steps in [BATCHES, 2 * BATCHES] {
        let setup = Setup::new(1);
        let mut trainer = setup
            .trainer(SumLoss::tutorial(), config(steps))
            .checkpoints(open())
            .resume();
        trainer.fit(&setup.train).unwrap();
        let records = trainer.history().records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].step, steps);
    }
}

#[test]
fn a_history_without_its_checkpoints_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    let history = |name: &str| HistoryFile::read(folder.path().join(name)).unwrap();
    for run in 0..3 {
        let checkpoints = folder.path().join(run.to_string());
        let mut trainer = setup
            .trainer(SumLoss::tutorial(), epochs(2))
            .checkpoints(Checkpoints::open(checkpoints, Retention::default()).unwrap())
            .history_file(HistoryFile::open(folder.path().join("history.jsonl")).unwrap())
            .resume();
        trainer.fit(&setup.train).unwrap();
    }
    for name in ["history.jsonl", "history.1.jsonl", "history.2.jsonl"] {
        assert_eq!(history(name).records().len(), 2, "{name}");
    }
}

#[test]
fn skipped_samples_make_no_further_epochs() {
    /// Squares of which some cannot be read.
    struct Broken;
    impl Dataset for Broken {
        fn len(&self) -> usize {
            8
        }
        fn get(&self, index: usize) -> unetr_data::Result<Sample> {
            match index {
                5.. => Err(unetr_data::Error::Index { index, len: 5 }),
                _ => Squares.get(index),
            }
        }
    }
    let setup = Setup::new(1);
    let config = DataLoaderConfig {
        on_broken: OnBroken::Skip,
        workers: 0,
        ..DataLoaderConfig::train(2)
    };
    let plain = Compose::default().then(Normalize::default());
    let train = DataLoader::new(Broken, plain, config).unwrap();
    let mut trainer = setup.trainer(SumLoss::tutorial(), epochs(3));
    assert_eq!(trainer.fit(&train).unwrap(), Outcome::Finished);
    let done: Vec<_> = trainer
        .history()
        .records()
        .iter()
        .map(|record| (record.epoch, record.step))
        .collect();
    assert_eq!(done, [(1, 2), (2, 4), (3, 6)]);
}

#[test]
fn a_run_of_another_seed_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    let config = TrainerConfig {
        max_steps: Some(1),
        ..epochs(1)
    };
    setup
        .recorded(folder.path(), config.clone())
        .fit(&setup.train)
        .unwrap();
    let config = TrainerConfig { seed: 5, ..config };
    let error = setup
        .recorded(folder.path(), config)
        .resume()
        .fit(&setup.train)
        .unwrap_err();
    let Error::Resume { differences, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*differences, ["trainer.seed is 0 there and 5 here"]);

    // Several at once, and settings that a resumed run may change.
    let config = TrainerConfig {
        epochs: 7,
        eval_every: 1,
        clip_norm: Some(1.),
        ..TrainerConfig::default()
    };
    let adam = AdamConfig {
        weight_decay: 0.1,
        ..AdamConfig::default()
    };
    let adam = Adam::new(setup.parameters.trainable(), adam).unwrap();
    let schedule = Schedule::Constant { lr: 1e-3 };
    let (model, parameters) = (&setup.model, &setup.parameters);
    let retention = Retention::default();
    let error = Trainer::new(
        model,
        parameters,
        SumLoss::tutorial(),
        adam,
        schedule,
        config,
    )
    .unwrap()
    .checkpoints(Checkpoints::open(folder.path(), retention).unwrap())
    .resume()
    .fit(&setup.train)
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("trainer.clip_norm is nothing there and 1.0 here"),
        "{error}"
    );
    assert!(error.contains("weight decay 0.1"), "{error}");
    for free in ["epochs", "eval_every", "schedule"] {
        assert!(!error.contains(free), "{error}");
    }
}

/// NaN at its `n`th computation, counted from 1.
struct NanAt(u64, AtomicU64);

impl std::fmt::Debug for NanAt {
    /// The same for all, as a run knows its loss by this.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NanAt")
    }
}

impl Loss for NanAt {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> candle_core::Result<LossValue> {
        let value = SumLoss::tutorial().compute(logits, labels)?;
        let count = self.1.fetch_add(1, Ordering::Relaxed) + 1;
        let factor = if count == self.0 { f64::NAN } else { 1. };
        Ok(LossValue {
            total: (value.total * factor)?,
            parts: value.parts,
        })
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run() {
    for log_every in [1, 10] {
        let setup = Setup::new(1);
        let config = TrainerConfig {
            log_every,
            ..epochs(1)
        };
        let loss = NanAt(3, AtomicU64::new(0));
        let error = setup.trainer(loss, config).fit(&setup.train).unwrap_err();
        let Error::NotFinite {
            what,
            value,
            step,
            epoch,
            learning_rate,
            indices,
        } = error
        else {
            panic!("{error}")
        };
        assert!(what == "loss" && value.is_nan());
        assert_eq!((step, epoch, learning_rate), (3, 1, 3e-3));
        let batch = setup.train.epoch(0).nth(2).unwrap().unwrap();
        assert_eq!(indices, batch.indices);

        // Read before its update, or with the others at the end of the epoch.
        let two_updates = Setup::new(1);
        let config = TrainerConfig {
            max_steps: Some(2),
            ..epochs(1)
        };
        two_updates
            .trainer(SumLoss::tutorial(), config)
            .fit(&two_updates.train)
            .unwrap();
        assert_eq!(setup.values() == two_updates.values(), log_every == 1);
    }
}

#[test]
fn a_loss_that_is_not_finite_costs_no_checkpoint() {
    let whole = Setup::new(1);
    whole
        .trainer(SumLoss::tutorial(), epochs(2))
        .fit(&whole.train)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let first = Setup::new(1);
    let retention = Retention::best(1, "validation/mean_iou", Objective::Max);
    let open = || Checkpoints::open(folder.path(), retention.clone()).unwrap();
    // After the evaluation of the first epoch, whose batches have losses too.
    let evaluated = first.validation.batches_per_epoch() as u64;
    let loss = NanAt(BATCHES + evaluated + 2, AtomicU64::new(0));
    let mut trainer = first.trainer(loss, epochs(2)).checkpoints(open());
    let error = trainer.fit(&first.train).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 6, .. }), "{error}");
    drop(trainer);
    let saved = open();
    assert_eq!(saved.list().len(), 1);
    assert_eq!(saved.best().unwrap().step(), BATCHES);

    // Where it was a fault of the machine, the run goes on as if nothing had been.
    let second = Setup::new(2);
    let loss = NanAt(0, AtomicU64::new(0));
    let mut trainer = second.trainer(loss, epochs(2)).checkpoints(saved).resume();
    trainer.fit(&second.train).unwrap();
    assert!(second.values() == whole.values());
}

#[test]
fn checkpoints_are_written_whenever_minutes_have_passed() {
    for (minutes, expected) in [(1e-9, vec![1, 2, 3, 4]), (60., vec![4])] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::new(1);
        let config = TrainerConfig {
            save_every_minutes: Some(minutes),
            ..epochs(1)
        };
        let retention = Retention::default().last(10);
        let mut trainer = setup
            .trainer(SumLoss::tutorial(), config)
            .checkpoints(Checkpoints::open(folder.path(), retention).unwrap());
        trainer.fit(&setup.train).unwrap();
        let saved = trainer.saved().unwrap().list().iter();
        assert_eq!(saved.map(Checkpoint::step).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_metric_that_no_evaluation_gives_is_named() {
    let setup = Setup::new(1);
    for (metric, found) in [
        ("validation/mean_uio", false),
        ("valdation/mean_iou", false),
        ("mean_iou", false),
        ("validation/iou/square", true),
        // The tests are not evaluated: there is no best, and nothing wrong.
        ("test/mean_iou", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention::best(1, metric, Objective::Max);
        let checkpoints = Checkpoints::open(folder.path(), retention).unwrap();
        let mut trainer = setup
            .trainer(SumLoss::tutorial(), epochs(1))
            .checkpoints(checkpoints);
        let ended = trainer.fit(&setup.train);
        assert_eq!(ended.is_ok(), found, "{metric}");
        if let Err(error) = ended {
            let error = error.to_string();
            assert!(
                error.contains(metric) && error.contains("validation/mean_iou,"),
                "{error}"
            );
        }
        // What was trained until then is there.
        assert_eq!(trainer.saved().unwrap().last().unwrap().step(), BATCHES);
    }
}

#[test]
fn a_run_of_other_data_or_transforms_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    let config = TrainerConfig {
        max_steps: Some(1),
        ..epochs(1)
    };
    let run = || setup.recorded(folder.path(), config.clone());
    run().fit(&setup.train).unwrap();

    let loader = DataLoaderConfig {
        workers: 1,
        ..DataLoaderConfig::train(2)
    };
    let flip = || Compose::default().then(HorizontalFlip::default());
    let normalized = flip().then(Normalize::default());
    let names = Renamed;
    for (other, key) in [
        (
            DataLoader::new(Squares, flip(), loader.clone()),
            "loader.transforms",
        ),
        (
            DataLoader::new(names, normalized.clone(), loader.clone()),
            "loader.samples",
        ),
    ] {
        let error = run().resume().fit(&other.unwrap()).unwrap_err();
        let Error::Resume { differences, .. } = &error else {
            panic!("{error}")
        };
        assert!(!differences.is_empty(), "{error}");
        assert!(
            differences.iter().all(|text| text.starts_with(key)),
            "{error}"
        );
    }
    // Where batches are normalised makes no other run.
    let later = DataLoader::normalizing_later(Squares, normalized, loader).unwrap();
    run().resume().fit(&later).unwrap();
}

/// As many squares under other names.
struct Renamed;

impl Dataset for Renamed {
    fn len(&self) -> usize {
        Squares.len()
    }

    fn get(&self, index: usize) -> unetr_data::Result<Sample> {
        Squares.get(index)
    }

    fn name(&self, index: usize) -> String {
        format!("another {index}")
    }
}

#[test]
fn evaluations_follow_the_first_epoch_every_so_many_and_the_last() {
    let setup = Setup::new(1);
    for (config, expected) in [
        (
            TrainerConfig {
                eval_every: 2,
                ..epochs(4)
            },
            vec![1, 3, 4],
        ),
        (
            TrainerConfig {
                eval_every: 5,
                max_steps: Some(BATCHES + 1),
                ..epochs(9)
            },
            vec![1, 2],
        ),
    ] {
        let mut trainer = setup.trainer(SumLoss::tutorial(), config.clone());
        trainer.fit(&setup.train).unwrap();
        let evaluated = |record: &&Record| record.get(Split::Validation, "mean_iou").is_some();
        let records = trainer.history().records().iter().filter(evaluated);
        let found: Vec<u64> = records.map(|record| record.epoch).collect();
        assert_eq!(found, expected);
        let last = trainer.history().last().unwrap();
        assert_eq!(last.step, config.steps(BATCHES as usize));
        for name in ["loss", "cross_entropy", "soft_jaccard"] {
            assert!(last.get(Split::Validation, name).is_some(), "{name}");
        }
    }
}

/// Notes what it is told.
struct Notes<'a>(&'a RefCell<Vec<String>>);

impl Callback for Notes<'_> {
    fn on_start(&mut self, plan: &Plan) {
        self.0
            .borrow_mut()
            .push(format!("start {}/{}", plan.first_step, plan.steps));
    }

    fn on_step(&mut self, report: &StepReport) {
        self.0.borrow_mut().push(format!("step {}", report.step));
    }

    fn on_evaluation_start(&mut self, split: Split, batches: u64) {
        self.0.borrow_mut().push(format!("{split} {batches}"));
    }

    fn on_evaluation_batch(&mut self) {
        self.0.borrow_mut().push("batch".into());
    }

    fn on_epoch(&mut self, record: &Record) {
        self.0.borrow_mut().push(format!("epoch {}", record.epoch));
    }

    fn on_end(&mut self) {
        self.0.borrow_mut().push("end".into());
    }
}

#[test]
fn an_evaluation_that_would_measure_nothing_is_refused() {
    let setup = Setup::new(1);
    let adam = Adam::new(setup.parameters.trainable(), AdamConfig::default()).unwrap();
    let (loss, schedule) = (SumLoss::tutorial(), Schedule::Constant { lr: 3e-3 });
    let trainer = Trainer::new(
        &setup.model,
        &setup.parameters,
        loss,
        adam,
        schedule,
        epochs(1),
    );
    let mut trainer = trainer.unwrap().validation(&setup.validation);
    let error = trainer.fit(&setup.train).unwrap_err().to_string();
    assert!(error.contains("Trainer::metrics"), "{error}");
}

#[test]
fn callbacks_see_the_run_in_order() {
    let setup = Setup::new(1);
    let notes = RefCell::new(Vec::new());
    let config = TrainerConfig {
        log_every: 3,
        ..epochs(1)
    };
    let mut trainer = setup
        .trainer(SumLoss::tutorial(), config)
        .callback(Notes(&notes));
    trainer.fit(&setup.train).unwrap();
    let expected = [
        "start 0/4",
        "step 3",
        "step 4",
        "validation 2",
        "batch",
        "batch",
        "epoch 1",
        "end",
    ];
    assert_eq!(*notes.borrow(), expected);
}
