use candle_core::{DType, Device};
use unetr_train::{Error, Schedule, ScheduleConfig};

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
        assert!(matches!(error, Error::Setting { .. }));
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

/// The rates of a schedule of PyTorch; `tests/fixtures/torch_schedules.py` made them.
fn torch_rates(name: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(crate::fixture("torch_schedules.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(file["rates"][name].clone()).unwrap()
}

#[test]
fn schedules_equal_pytorch() {
    const PEAK: f64 = 0.01;
    let cosine = Schedule::Cosine {
        from: PEAK,
        to: 0.001,
        steps: 32,
    };
    let polynomial = Schedule::Polynomial {
        from: PEAK,
        to: 0.,
        steps: 32,
        power: 0.9,
    };
    let linear = Schedule::Linear {
        from: PEAK,
        to: 0.0005,
        steps: 32,
    };
    let warmup = |schedule: &Schedule| Schedule::Warmup {
        from: PEAK / 10.,
        steps: 8,
        then: Box::new(schedule.clone()),
    };
    let own_cycle = Schedule::OneCycle {
        start: PEAK / 10.,
        peak: PEAK,
        end: PEAK / 1000.,
        rise: 0.45,
        steps: 40,
    };
    for (name, schedule) in [
        ("one_cycle", Schedule::one_cycle(PEAK, 40)),
        ("one_cycle_own", own_cycle),
        ("cosine", cosine.clone()),
        ("polynomial", polynomial.clone()),
        ("warmup_cosine", warmup(&cosine)),
        ("warmup_polynomial", warmup(&polynomial)),
        ("warmup_linear", warmup(&linear)),
        ("warmup_constant", warmup(&Schedule::Constant { lr: PEAK })),
    ] {
        schedule.validate().unwrap();
        let expected = torch_rates(name);
        assert!(expected.len() >= 32, "{name}");
        for (step, expected) in (0..).zip(expected) {
            // PyTorch computes most of them from the rate before, and errs a little more each time.
            let lr = schedule.lr(step);
            assert!(
                (lr - expected).abs() <= 1e-15,
                "{name}, step {step}: {lr:e}, not {expected:e}"
            );
        }
        let json = serde_json::to_string(&schedule).unwrap();
        assert_eq!(
            serde_json::from_str::<Schedule>(&json).unwrap(),
            schedule,
            "{json}"
        );
    }
}

#[test]
fn schedules_stay_at_their_end() {
    let cycle = Schedule::one_cycle(0.1, 10);
    assert_eq!(cycle.lr(9), cycle.lr(1_000_000));
    let poly = Schedule::Polynomial {
        from: 0.1,
        to: 0.01,
        steps: 10,
        power: 2.,
    };
    assert_eq!((poly.lr(10), poly.lr(1_000_000)), (0.01, 0.01));
    for steps in 1..12 {
        let cycle = Schedule::one_cycle(0.1, steps);
        assert!((0..steps).all(|step| (0. ..=0.1).contains(&cycle.lr(step))));
    }
}

#[test]
fn a_chain_counts_each_part_from_its_beginning() {
    let down = Schedule::Linear {
        from: 1.,
        to: 0.,
        steps: 4,
    };
    let rest = Schedule::Constant { lr: 0.25 };
    let chain = down.clone().for_steps(4).then(down.for_steps(2).then(rest));
    chain.validate().unwrap();
    let rates: Vec<f64> = (0..8).map(|step| chain.lr(step)).collect();
    assert_eq!(rates, [1., 0.75, 0.5, 0.25, 1., 0.75, 0.25, 0.25]);
    assert_eq!(
        chain.to_string(),
        "linear from 1 to 0 in 4 steps for 4 steps, then linear from 1 to 0 in 4 steps for 2 steps, \
         then constant 0.25"
    );
    let json = r#"{"kind":"chain","parts":[{"steps":0,"schedule":{"kind":"constant","lr":1}}],"then":{"kind":"constant","lr":1}}"#;
    let empty: Schedule = serde_json::from_str(json).unwrap();
    let error = empty.validate().unwrap_err().to_string();
    assert!(error.contains("0 steps"), "{error}");
}

#[test]
fn a_configuration_follows_the_length_of_the_run() {
    let parse = |json: &str| serde_json::from_str::<ScheduleConfig>(json).unwrap();
    let default = ScheduleConfig::default();
    assert_eq!(parse(r#"{"kind": "cosine"}"#), default);
    for steps in [1, 7, 20, 60, 140, 3550, 9999] {
        let expected = Schedule::warmup_cosine(1e-3, steps);
        assert_eq!(default.schedule(steps).unwrap(), expected, "{steps}");
    }
    let cycle = parse(r#"{"kind": "one_cycle", "peak": 0.1}"#);
    assert_eq!(cycle.schedule(50).unwrap(), Schedule::one_cycle(0.1, 50));
    for (json, text, rates) in [
        (
            r#"{"kind": "linear", "peak": 1, "warmup": {"steps": 4}, "end_factor": 0.5}"#,
            "linear from 1 to 0.5 after a warm-up of 4 steps",
            [0., 0.25, 1., 0.5],
        ),
        (
            r#"{"kind": "polynomial", "peak": 1, "warmup": {"fraction": 0.2}, "power": 2}"#,
            "polynomial of power 2 from 1 to 0 after a warm-up of 20 % of the run",
            [0., 0.25, 1., 0.],
        ),
        (
            r#"{"kind": "constant", "peak": 1, "warmup": {"steps": 4}}"#,
            "constant 1 after a warm-up of 4 steps",
            [0., 0.25, 1., 1.],
        ),
        (
            r#"{"kind": "cosine", "peak": 1, "warmup": {"fraction": 0.2}, "end_factor": 0.1}"#,
            "cosine from 1 to 0.1 after a warm-up of 20 % of the run",
            [0., 0.25, 1., 0.1],
        ),
    ] {
        let config = parse(json);
        assert_eq!(config.to_string(), text);
        let schedule = config.schedule(20).unwrap();
        schedule.validate().unwrap();
        assert_eq!([0, 1, 4, 20].map(|step| schedule.lr(step)), rates, "{json}");
        let again = serde_json::to_string(&config).unwrap();
        assert_eq!(parse(&again), config);
    }
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    for (json, message) in [
        (
            r#"{"kind": "linear", "warmup": {"fraction": 1}}"#,
            "the warm-up's fraction of the run is 1, expected at least 0 and less than 1",
        ),
        (
            r#"{"kind": "cosine", "warmup": {"steps": 50}}"#,
            "the warm-up of the schedule is 50 of 20 steps, expected fewer",
        ),
        (
            r#"{"kind": "cosine", "peak": -1}"#,
            "the peak learning rate is -1",
        ),
        (
            r#"{"kind": "polynomial", "power": 0}"#,
            "the power of the schedule is 0",
        ),
        (
            r#"{"kind": "one_cycle", "rise": 1}"#,
            "the rising part of the cycle is 1",
        ),
    ] {
        let config: ScheduleConfig = serde_json::from_str(json).unwrap();
        let error = config.schedule(20).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }));
        assert!(error.to_string().starts_with(message), "{error}");
    }
    let unknown = r#"{"kind": "cosine", "steps": 100}"#;
    let error = serde_json::from_str::<ScheduleConfig>(unknown).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `steps`"),
        "{error}"
    );
}
