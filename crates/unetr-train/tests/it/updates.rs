//! What is done with gradients and parameters: accumulation, bounds, averages; when a run ends early.

use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use unetr_data::{Compose, DataLoader, DataLoaderConfig, Normalize};
use unetr_model::{Precision, UnetrConfig};
use unetr_train::{
    Adam, AdamConfig, Callback, CrossEntropy, EarlyStopping, EmaConfig, Error, Loss, LossValue,
    OptimizerConfig, Outcome, ParameterGroups, Record, Schedule, SgdConfig, Split, StepReport,
    SumLoss, Trainer, TrainerConfig,
};

use crate::trainer::{BATCHES, Setup, Squares, epochs};

type Values = Vec<(String, Vec<f32>)>;

fn largest_difference(a: &Values, b: &Values) -> f32 {
    let pairs = a.iter().zip(b).flat_map(|((_, a), (_, b))| a.iter().zip(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0., f32::max)
}

/// Notes the norm of the gradients of every update, 0 where there is none, and the parameters after it.
struct Notes<'a>(&'a Setup, &'a RefCell<Vec<(f64, Values)>>);

impl Callback for Notes<'_> {
    fn on_step(&mut self, report: &StepReport) {
        let norm = report.gradient_norm.unwrap_or(0.);
        self.1.borrow_mut().push((norm, self.0.values()));
    }
}

/// Keeps the last report.
struct Last<'a>(&'a RefCell<Option<StepReport>>);

impl Callback for Last<'_> {
    fn on_step(&mut self, report: &StepReport) {
        self.0.replace(Some(report.clone()));
    }
}

/// One epoch over squares without chance, of batches of so many.
fn epoch(batch: usize, config: TrainerConfig) -> (Setup, Vec<(f64, Values)>) {
    let mut setup = Setup::without_dropout(1);
    let transforms = Compose::default().then(Normalize::default());
    let loader = DataLoaderConfig {
        workers: 0,
        ..DataLoaderConfig::train(batch)
    };
    setup.train = DataLoader::new(Squares, transforms, loader).unwrap();
    let notes = RefCell::new(Vec::new());
    // So large an eps makes steps in proportion to the gradients, also to small ones.
    let adam = AdamConfig {
        eps: 1.,
        ..AdamConfig::default()
    };
    let adam = Adam::new(setup.parameters.trainable(), adam).unwrap();
    let (model, parameters) = (&setup.model, &setup.parameters);
    let schedule = Schedule::Constant { lr: 0.1 };
    let mut trainer = Trainer::new(
        model,
        parameters,
        CrossEntropy::default(),
        adam,
        schedule,
        config,
    )
    .unwrap()
    .callback(Notes(&setup, &notes));
    trainer.fit(&setup.train).unwrap();
    drop(trainer);
    (setup, notes.into_inner())
}

#[test]
fn batches_together_make_the_update_of_a_large_one() {
    let accumulate = |accumulate| TrainerConfig {
        accumulate,
        clip_norm: Some(1e9),
        ..epochs(1)
    };
    let (parts, parts_notes) = epoch(2, accumulate(2));
    let (large, large_notes) = epoch(4, accumulate(1));
    assert_eq!((parts_notes.len(), large_notes.len()), (2, 2));
    for ((a, _), (b, _)) in parts_notes.iter().zip(&large_notes) {
        assert!((a - b).abs() < 1e-4 * b, "{a} {b}");
    }
    let (parts, large) = (parts.values(), large.values());
    let moved = largest_difference(&large, &Setup::without_dropout(1).values());
    let apart = largest_difference(&parts, &large);
    assert!(apart < 1e-3 * moved, "{apart} of {moved}");
}

#[test]
fn auxiliary_heads_teach_the_transformer_with_their_weight() {
    let train = |auxiliary_heads, auxiliary_weight| {
        let cfg = UnetrConfig {
            auxiliary_heads,
            ..UnetrConfig::tiny()
        };
        let setup = Setup::of(1, cfg);
        let config = TrainerConfig {
            auxiliary_weight,
            ..epochs(1)
        };
        let report = RefCell::new(None);
        let mut trainer = setup
            .trainer(SumLoss::tutorial(), config)
            .callback(Last(&report));
        trainer.fit(&setup.train).unwrap();
        drop(trainer);
        let own = |(name, _): &(String, _)| !name.starts_with("auxiliary_heads.");
        let values: Values = setup.values().into_iter().filter(own).collect();
        (report.take().unwrap(), values)
    };
    let (plain, without) = train(false, 0.4);
    let (_, ignored) = train(true, 0.);
    let (report, with) = train(true, 0.4);
    assert_eq!(largest_difference(&without, &ignored), 0.);
    assert!(largest_difference(&without, &with) > 1e-4);
    assert!(plain.parts.iter().all(|(name, _)| name != "auxiliary"));
    let weight = |name: &str| if name == "auxiliary" { 0.4 } else { 1. };
    let parts = report.parts.iter().map(|(name, part)| weight(name) * part);
    assert_eq!(report.parts.len(), 3);
    assert!(
        (report.loss - parts.sum::<f64>()).abs() < 1e-5,
        "{report:?}"
    );
}

#[test]
fn gradients_are_bounded() {
    let config = |clip_norm, clip_value| TrainerConfig {
        clip_norm,
        clip_value,
        ..epochs(1)
    };
    let (free, free_notes) = epoch(2, config(Some(1e9), None));
    let (setup, _) = epoch(2, config(None, None));
    // A bound that is never reached changes nothing.
    assert!(free.values() == setup.values());
    let norm = free_notes[0].0;
    let (bounded, bounded_notes) = epoch(2, config(Some(0.1 * norm), None));
    assert_eq!(bounded_notes[0].0, norm);
    assert!(bounded.values() != free.values());
    // So has an infinite one, which has the norm measured.
    let (measured, measured_notes) = epoch(2, config(Some(f64::INFINITY), None));
    assert!(measured.values() == setup.values());
    assert_eq!(measured_notes[0].0, norm);
    // Bounded numbers have the norm of what is left of them.
    let (_, small_notes) = epoch(2, config(None, Some(1e-6)));
    let count = free.parameters.count() as f64;
    assert!(small_notes[0].0 <= 1e-6 * count.sqrt() && small_notes[0].0 > 0.);
}

/// Steps in proportion to the gradients show the norm that is left, and that their direction is the same.
#[test]
fn a_bound_on_the_norm_is_exact() {
    let update = |clip_norm| {
        let setup = Setup::without_dropout(1);
        let before = setup.values();
        let sgd = OptimizerConfig::Sgd(SgdConfig::default());
        let sgd = sgd.build(setup.parameters.trainable(), &ParameterGroups::default());
        let config = TrainerConfig {
            clip_norm: Some(clip_norm),
            max_steps: Some(1),
            ..epochs(1)
        };
        let report = RefCell::new(None);
        let (model, parameters) = (&setup.model, &setup.parameters);
        let (loss, schedule) = (CrossEntropy::default(), Schedule::Constant { lr: 1. });
        let mut trainer = Trainer::new(model, parameters, loss, sgd.unwrap(), schedule, config)
            .unwrap()
            .callback(Last(&report));
        trainer.fit(&setup.train).unwrap();
        drop(trainer);
        let pairs = before.into_iter().zip(setup.values());
        let moved = pairs.flat_map(|((_, a), (_, b))| {
            let differences = a.into_iter().zip(b);
            differences
                .map(|(a, b)| f64::from(a) - f64::from(b))
                .collect::<Vec<_>>()
        });
        (
            report.take().unwrap().gradient_norm.unwrap(),
            moved.collect::<Vec<f64>>(),
        )
    };
    let length = |moved: &[f64]| moved.iter().map(|step| step * step).sum::<f64>().sqrt();
    let (norm, free) = update(f64::INFINITY);
    assert!(
        (length(&free) / norm - 1.).abs() < 1e-4,
        "{} {norm}",
        length(&free)
    );
    let bound = 0.25 * norm;
    let (same, bounded) = update(bound);
    assert_eq!(same, norm);
    assert!(
        (length(&bounded) / bound - 1.).abs() < 1e-4,
        "{} {bound}",
        length(&bounded)
    );
    let product: f64 = free.iter().zip(&bounded).map(|(a, b)| a * b).sum();
    assert!(product > 0.9999 * length(&free) * length(&bounded));
}

#[test]
fn averages_are_evaluated_and_saved_and_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainerConfig {
        ema: Some(EmaConfig {
            decay: 0.9,
            every: 1,
        }),
        clip_norm: Some(1e9),
        ..epochs(1)
    };
    let setup = Setup::new(1);
    let notes = RefCell::new(Vec::new());
    let mut trainer = setup
        .recorded(folder.path(), config.clone())
        .callback(Notes(&setup, &notes));
    trainer.fit(&setup.train).unwrap();
    let record = trainer.history().last().unwrap().clone();
    let checkpoint = trainer.saved().unwrap().last().unwrap().clone();
    drop(trainer);

    // The average by its definition, from the parameters after every update.
    let plain = Setup::new(1);
    plain
        .trainer(
            SumLoss::tutorial(),
            TrainerConfig {
                ema: None,
                ..config
            },
        )
        .fit(&plain.train)
        .unwrap();
    let after = notes.into_inner();
    let mut expected = Setup::new(1).values();
    for (step, (_, values)) in (1..).zip(&after) {
        let keep = 0.9_f64.min((1. + f64::from(step)) / (10. + f64::from(step))) as f32;
        for ((_, average), (_, value)) in expected.iter_mut().zip(values) {
            for (average, value) in average.iter_mut().zip(value) {
                *average = keep * *average + (1. - keep) * value;
            }
        }
    }
    assert!(largest_difference(&setup.values(), &expected) < 1e-6);
    assert!(largest_difference(&setup.values(), &plain.values()) > 1e-4);

    let flat = |tensors: BTreeMap<String, Tensor>, names: &Values| -> Values {
        let value = |(name, _): &(String, Vec<f32>)| {
            let values = tensors[name].flatten_all().unwrap().to_vec1().unwrap();
            (name.clone(), values)
        };
        names.iter().map(value).collect()
    };
    let file = |name| checkpoint.tensors(name, &Device::Cpu).unwrap();
    assert!(flat(file("model.safetensors"), &expected) == setup.values());
    assert!(flat(file("training.safetensors"), &expected) == plain.values());

    // What was evaluated are the averages.
    let mut metrics = unetr_metrics::MetricSet::new(["background", "square"]).unwrap();
    let scores = unetr_train::evaluate(
        &setup.model,
        &SumLoss::tutorial(),
        &setup.validation,
        &mut metrics,
        &Device::Cpu,
        || {},
    );
    let loss = scores.unwrap()["loss"];
    assert_eq!(record.get(Split::Validation, "loss"), Some(loss));
}

#[test]
fn a_run_that_no_longer_gets_better_ends() {
    let setup = Setup::new(1);
    let folder = tempfile::tempdir().unwrap();
    let config = TrainerConfig {
        eval_every: 1,
        early_stopping: Some(EarlyStopping {
            patience: 2,
            // Nothing gets better by so much.
            min_delta: 2.,
            ..EarlyStopping::default()
        }),
        ..epochs(9)
    };
    let mut trainer = setup.recorded(folder.path(), config.clone());
    assert_eq!(trainer.fit(&setup.train).unwrap(), Outcome::StoppedEarly);
    let epochs_of = |records: &[Record]| records.iter().map(|r| r.epoch).collect::<Vec<_>>();
    assert_eq!(epochs_of(trainer.history().records()), [1, 2, 3]);
    assert_eq!(trainer.saved().unwrap().last().unwrap().step(), 3 * BATCHES);
    drop(trainer);
    let mut resumed = setup.recorded(folder.path(), config.clone()).resume();
    assert_eq!(resumed.fit(&setup.train).unwrap(), Outcome::StoppedEarly);
    assert_eq!(epochs_of(resumed.history().records()), [1, 2, 3]);
    drop(resumed);

    let wrong = TrainerConfig {
        early_stopping: Some(EarlyStopping {
            metric: "validation/miou".into(),
            ..EarlyStopping::default()
        }),
        ..config
    };
    let error = setup
        .trainer(SumLoss::tutorial(), wrong)
        .fit(&setup.train)
        .unwrap_err();
    assert!(matches!(error, Error::Setting { .. }), "{error}");
    assert!(error.to_string().contains("validation/mean_iou"), "{error}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    let default = TrainerConfig::default;
    let wrong = [
        (
            "accumulate",
            TrainerConfig {
                accumulate: 0,
                ..default()
            },
        ),
        (
            "clip_norm",
            TrainerConfig {
                clip_norm: Some(0.),
                ..default()
            },
        ),
        (
            "clip_value",
            TrainerConfig {
                clip_value: Some(f64::NAN),
                ..default()
            },
        ),
        (
            "save_every_minutes",
            TrainerConfig {
                save_every_minutes: Some(-1.),
                ..default()
            },
        ),
        (
            "ema.decay",
            TrainerConfig {
                ema: Some(EmaConfig {
                    decay: 1.,
                    every: 1,
                }),
                ..default()
            },
        ),
        (
            "ema.every",
            TrainerConfig {
                ema: Some(EmaConfig {
                    decay: 0.9,
                    every: 0,
                }),
                ..default()
            },
        ),
    ];
    for (name, config) in wrong {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

/// A loss whose gradients are beyond f32 where it is scaled by 65,536, as large ones are beyond f16.
#[derive(Debug)]
struct Narrow;

impl Loss for Narrow {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> candle_core::Result<LossValue> {
        let value = SumLoss::tutorial().compute(logits, labels)?;
        let total = ((value.total / 1e34)? * 1e34)?;
        Ok(LossValue { total, ..value })
    }
}

#[test]
fn an_update_in_f16_is_left_out_where_gradients_are_too_large() {
    for clip_value in [None, Some(1.)] {
        let setup = Setup::new(1);
        let before = setup.values();
        let notes = RefCell::new(Vec::new());
        let config = TrainerConfig {
            precision: Precision::F16,
            max_steps: Some(3),
            clip_value,
            ..epochs(1)
        };
        let mut trainer = setup
            .trainer(Narrow, config)
            .callback(Notes(&setup, &notes));
        trainer.fit(&setup.train).unwrap();
        drop(trainer);
        let notes = notes.into_inner();
        assert!(notes[0] == (0., before));
        for (note, earlier) in notes[1..].iter().zip(&notes) {
            assert!(note.0 > 0. && note.0.is_finite(), "norm {}", note.0);
            assert!(note.1 != earlier.1);
        }
    }
}

/// A loss that is finite, but not its gradients.
#[derive(Debug)]
struct Steep;

impl Loss for Steep {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> candle_core::Result<LossValue> {
        let value = SumLoss::tutorial().compute(logits, labels)?;
        // The root of 0 rises without end.
        let steep = logits.sub(&logits.detach())?.sum_all()?.sqrt()?;
        Ok(LossValue {
            total: (value.total + steep)?,
            ..value
        })
    }
}

#[test]
fn gradients_that_are_not_finite_spoil_nothing_where_they_are_measured() {
    for (clip_value, clip_norm) in [(Some(1.), None), (None, Some(1.))] {
        let setup = Setup::new(1);
        let before = setup.values();
        let config = TrainerConfig {
            log_every: 10,
            clip_value,
            clip_norm,
            ..epochs(1)
        };
        let error = setup.trainer(Steep, config).fit(&setup.train).unwrap_err();
        assert!(
            matches!(
                error,
                Error::NotFinite {
                    what: "gradient norm",
                    step: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(setup.values() == before);
    }
}
