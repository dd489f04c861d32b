//! Adam against Optax, its saved state, and optimisers of other crates.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::Optimizer as _;
use candle_optimisers::adam::ParamsAdam;
use candle_optimisers::nadam::{NAdam, ParamsNAdam};
use unetr_train::{Adam, AdamConfig, Error, External, Optimizer, Schedule};

use crate::golden::{Golden, distance, largest};

const NAMES: [&str; 2] = ["b", "w"];
const UPDATES: u64 = 12;

fn parameters(golden: &Golden, dtype: DType) -> Vec<(String, Var)> {
    golden.variables("params0", &NAMES, dtype)
}

fn gradients(golden: &Golden, parameters: &[(String, Var)], step: u64) -> GradStore {
    golden.loss(parameters, step).backward().unwrap()
}

fn tutorial(parameters: &[(String, Var)]) -> Adam {
    Adam::new(parameters.to_vec(), AdamConfig::default()).unwrap()
}

#[test]
fn adam_equals_optax_after_every_update() {
    let golden = Golden::open("optim");
    // The references are rounded to f32, 6e-8.
    for (dtype, bound) in [(DType::F32, 3e-7), (DType::F64, 1e-7)] {
        let parameters = parameters(&golden, dtype);
        let mut adam = tutorial(&parameters);
        let schedule = Schedule::tutorial(10);
        for k in 0..UPDATES {
            let gradients = gradients(&golden, &parameters, k);
            adam.step(&gradients, schedule.lr(k)).unwrap();
            for (name, var) in &parameters {
                let expected = golden.reference(&format!("params/{}/{name}", k + 1));
                let deviation = distance(var, &expected) / largest(&expected);
                assert!(
                    deviation <= bound,
                    "{dtype:?}: {name} after {} updates: {deviation:.2e}",
                    k + 1
                );
            }
        }
        let state = adam.state().unwrap().unwrap();
        assert_eq!(state["step"].to_scalar::<i64>().unwrap(), UPDATES as i64);
        for name in NAMES {
            let moments = &state[&format!("moments.{name}")];
            for (row, moment) in ["mu", "nu"].into_iter().enumerate() {
                let expected = golden.reference(&format!("{moment}/{name}"));
                let found = moments.get(row).unwrap();
                let deviation = distance(&found, &expected) / largest(&expected);
                assert!(
                    deviation <= bound,
                    "{dtype:?}: {moment}/{name}: {deviation:.2e}"
                );
            }
        }
    }
}

#[test]
fn a_restored_adam_makes_the_same_updates() {
    let golden = Golden::open("optim");
    let first = parameters(&golden, DType::F32);
    let mut adam = tutorial(&first);
    for k in 0..5 {
        adam.step(&gradients(&golden, &first, k), 3e-3).unwrap();
    }
    let copy = |(name, var): &(String, Var)| {
        (
            name.clone(),
            Var::from_tensor(&var.copy().unwrap()).unwrap(),
        )
    };
    let second: Vec<_> = first.iter().map(copy).collect();
    // Through a file, as a checkpoint does it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optimizer.safetensors");
    let state = adam.state().unwrap().unwrap().into_iter().collect();
    candle_core::safetensors::save(&state, &path).unwrap();
    let state: BTreeMap<_, _> = candle_core::safetensors::load(&path, &Device::Cpu)
        .unwrap()
        .into_iter()
        .collect();
    let mut restored = tutorial(&second);
    restored.restore(&state).unwrap();
    for k in 5..UPDATES {
        adam.step(&gradients(&golden, &first, k), 3e-3).unwrap();
        restored
            .step(&gradients(&golden, &second, k), 3e-3)
            .unwrap();
        for ((name, a), (_, b)) in first.iter().zip(&second) {
            assert_eq!(distance(a, b), 0., "{name} after {} updates", k + 1);
        }
    }
    // A fresh state does not do.
    let third: Vec<_> = first.iter().map(copy).collect();
    tutorial(&third)
        .step(&gradients(&golden, &third, 0), 3e-3)
        .unwrap();
    adam.step(&gradients(&golden, &first, 0), 3e-3).unwrap();
    assert!(distance(&first[1].1, &third[1].1) > 0.);
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
    let golden = Golden::open("optim");
    let parameters = parameters(&golden, DType::F32);
    let mut adam = tutorial(&parameters);
    adam.step(&gradients(&golden, &parameters, 0), 3e-3)
        .unwrap();
    let state = adam.state().unwrap().unwrap();
    let other = Tensor::ones((2, 7), DType::F32, &Device::Cpu).unwrap();
    let changed = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut state = state.clone();
        change(&mut state);
        state
    };
    let wrong = [
        ("no step", changed(&|state| drop(state.remove("step")))),
        (
            "1 parameters instead of 2",
            changed(&|state| drop(state.remove("moments.w"))),
        ),
        (
            "no moments of w",
            changed(&|state| {
                let moments = state.remove("moments.w").unwrap();
                state.insert("moments.v".into(), moments);
            }),
        ),
        (
            "w of shape [2, 7] instead of [2, 3, 4]",
            changed(&|state| drop(state.insert("moments.w".into(), other.clone()))),
        ),
    ];
    let before: Vec<Tensor> = state
        .values()
        .map(|tensor| tensor.copy().unwrap())
        .collect();
    for (message, wrong) in wrong {
        let error = adam.restore(&wrong).unwrap_err();
        assert!(matches!(error, Error::OptimizerState { .. }), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let after = adam.state().unwrap().unwrap();
    for (before, after) in before.iter().zip(after.values()) {
        assert_eq!(distance(before, after), 0.);
    }
}

#[test]
fn weight_decay_is_decoupled_and_spares_vectors() {
    let golden = Golden::open("optim");
    let plain = parameters(&golden, DType::F64);
    let decayed = parameters(&golden, DType::F64);
    let config = AdamConfig {
        weight_decay: 0.1,
        ..AdamConfig::default()
    };
    tutorial(&plain)
        .step(&gradients(&golden, &plain, 0), 0.01)
        .unwrap();
    let mut adam = Adam::new(decayed.clone(), config).unwrap();
    adam.step(&gradients(&golden, &decayed, 0), 0.01).unwrap();
    assert_eq!(distance(&plain[0].1, &decayed[0].1), 0.);
    let start = golden.get("params0/w").to_dtype(DType::F64).unwrap();
    let expected = (plain[1].1.as_tensor() - (start * 1e-3).unwrap()).unwrap();
    assert!(distance(&decayed[1].1, &expected) < 1e-15);
}

#[test]
fn settings_out_of_range_are_refused() {
    let cases = [
        AdamConfig {
            beta1: 1.,
            ..AdamConfig::default()
        },
        AdamConfig {
            beta2: -0.1,
            ..AdamConfig::default()
        },
        AdamConfig {
            eps: f64::NAN,
            ..AdamConfig::default()
        },
        AdamConfig {
            weight_decay: -1.,
            ..AdamConfig::default()
        },
    ];
    for config in cases {
        let error = Adam::new(Vec::new(), config).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
    }
}

#[test]
fn optimisers_of_other_crates_lower_a_loss() {
    type Build = fn(Vec<Var>) -> Box<dyn Optimizer>;
    let builders: [(&str, Build); 3] = [
        ("NAdam", |vars| {
            Box::new(External::new(
                "NAdam",
                NAdam::new(vars, ParamsNAdam::default()).unwrap(),
            ))
        }),
        ("Adam", |vars| {
            let adam = candle_optimisers::adam::Adam::new(vars, ParamsAdam::default()).unwrap();
            Box::new(External::new("Adam", adam))
        }),
        ("SGD", |vars| {
            Box::new(External::new("SGD", candle_nn::SGD::new(vars, 0.).unwrap()))
        }),
    ];
    for (name, build) in builders {
        let weight = Var::new(&[1f32, -2., 3.], &Device::Cpu).unwrap();
        let mut optimizer = build(vec![weight.clone()]);
        assert_eq!(optimizer.describe(), name);
        let loss = || weight.sqr().unwrap().sum_all().unwrap();
        // A learning rate of 0 changes nothing: the rate given to `step` is the one that counts.
        optimizer.step(&loss().backward().unwrap(), 0.).unwrap();
        assert_eq!(weight.to_vec1::<f32>().unwrap(), [1., -2., 3.], "{name}");
        for _ in 0..20 {
            optimizer.step(&loss().backward().unwrap(), 0.05).unwrap();
        }
        let after = loss().to_scalar::<f32>().unwrap();
        assert!(after < 8., "{name}: {after}");
        assert!(optimizer.state().unwrap().is_none());
        let error = optimizer.restore(&BTreeMap::new()).unwrap_err();
        assert!(matches!(error, Error::OptimizerState { .. }), "{error}");
    }
}
