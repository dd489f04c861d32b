use candle_core::{DType, Device};
use unetr_train::{Error, Schedule};

/// `optax.linear_schedule(0.003, 0.0, 10)` at 0, 1, 2, ..., in f32; made by `gen_optim.py` and
/// `gen_unetr.py`, see `tests/fixtures/README.md`.
#[test]
fn the_tutorials_schedule_equals_optax() {
    for (file, count) in [("optim.safetensors", 12), ("unetr_train5.safetensors", 10)] {
        let tensors = candle_core::safetensors::load(crate::fixture(file), &Device::Cpu).unwrap();
        let expected: Vec<f64> = tensors["lr"]
            .to_dtype(DType::F64)
            .unwrap()
            .to_vec1()
            .unwrap();
        assert_eq!(expected.len(), count);
        let schedule = Schedule::tutorial(10);
        for (step, expected) in (0u64..).zip(expected) {
            // Optax computes 1 - step/10 in f32: half an ulp of 1 (6e-8), times 0.003.
            let lr = schedule.lr(step);
            assert!(
                (lr - expected).abs() <= 2.5e-10,
                "{file}, step {step}: {lr}, not {expected}"
            );
        }
    }
}

#[test]
fn a_warmup_rises_to_the_peak_and_a_cosine_falls_to_the_end() {
    let schedule = Schedule::WarmupCosine {
        peak: 0.1,
        warmup_steps: 10,
        steps: 110,
        end: 0.01,
    };
    schedule.validate().unwrap();
    assert_eq!(
        (schedule.lr(0), schedule.lr(5), schedule.lr(10)),
        (0.0, 0.05, 0.1)
    );
    assert!((schedule.lr(60) - 0.055).abs() < 1e-15);
    assert_eq!((schedule.lr(110), schedule.lr(1_000_000)), (0.01, 0.01));
    for step in 10..110 {
        assert!(schedule.lr(step + 1) < schedule.lr(step), "step {step}");
    }
    let preset = Schedule::warmup_cosine(0.1, 10);
    preset.validate().unwrap();
    assert_eq!(preset.lr(0), 0.1);
}

#[test]
fn a_schedule_is_tagged_data() {
    let json = r#"{"kind":"warmup_cosine","peak":0.001,"warmup_steps":100,"steps":3550,"end":0.0}"#;
    let schedule: Schedule = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&schedule).unwrap(), json);
    assert_eq!(
        schedule.to_string(),
        "warm-up to 0.001 in 100 steps, cosine to 0 at step 3550"
    );
    let unknown = r#"{"kind":"constant","lr":0.1,"gamma":2}"#;
    let error = serde_json::from_str::<Schedule>(unknown).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `gamma`"),
        "{error}"
    );
}

#[test]
fn schedules_that_make_no_sense_are_refused() {
    for (schedule, message) in [
        (
            Schedule::Constant { lr: f64::NAN },
            "the learning rate is NaN, expected a finite number of at least 0",
        ),
        (
            Schedule::Linear {
                from: 0.1,
                to: -1.0,
                steps: 5,
            },
            "the last learning rate is -1",
        ),
        (
            Schedule::tutorial(0),
            "the length of the schedule is 0 steps, expected at least 1 step",
        ),
        (
            Schedule::WarmupCosine {
                peak: 0.1,
                warmup_steps: 10,
                steps: 10,
                end: 0.0,
            },
            "the warm-up of the schedule is 10 of 10 steps",
        ),
    ] {
        let error = schedule.validate().unwrap_err();
        assert!(matches!(error, Error::Config { .. }));
        assert!(error.to_string().starts_with(message), "{error}");
    }
}
