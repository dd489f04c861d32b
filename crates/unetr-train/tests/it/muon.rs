//! Muon against PyTorch's; `tests/fixtures/torch_muon.py` made the values.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use unetr_train::{Error, GroupRule, Muon, MuonConfig, Optimizer, ParameterGroups};

use crate::golden::{Golden, distance, largest};

const STEPS: u64 = 4;
const NAMES: [&str; 5] = ["wide", "tall", "conv", "narrow", "bias"];

fn parameters(golden: &Golden, dtype: DType) -> Vec<(String, Var)> {
    golden.variables("params", &NAMES, dtype)
}

fn gradients(golden: &Golden, parameters: &[(String, Var)], step: u64) -> GradStore {
    golden.loss(parameters, step).backward().unwrap()
}

fn muon(parameters: &[(String, Var)]) -> Muon {
    let config = MuonConfig {
        weight_decay: 0.1,
        ..MuonConfig::default()
    };
    Muon::new(parameters.to_vec(), config, &ParameterGroups::default()).unwrap()
}

#[test]
fn updates_equal_pytorch() {
    let golden = Golden::open("torch_muon");
    for (dtype, bound) in [(DType::F64, 1e-7), (DType::F32, 1e-5)] {
        let parameters = parameters(&golden, dtype);
        let mut muon = muon(&parameters);
        for step in 0..STEPS {
            let gradients = gradients(&golden, &parameters, step);
            // With a scale, as where gradients are bounded, the gradients are twice as large.
            match step % 2 {
                0 => muon.step(&gradients, 0.02).unwrap(),
                _ => {
                    let mut twice = gradients;
                    for (_, var) in &parameters {
                        let gradient = twice.remove(var).unwrap();
                        twice.insert(var, (gradient * 2.).unwrap());
                    }
                    muon.step_scaled(twice, 0.5, 0.02).unwrap();
                }
            }
            for (name, var) in &parameters {
                let expected = golden.get(&format!("after/{step}/{name}"));
                let off = distance(var, &expected) / largest(&expected);
                assert!(off < bound, "{dtype:?}: {name} after {step}: {off:.1e}");
            }
        }
    }
}

#[test]
fn a_restored_state_makes_the_same_updates() {
    let golden = Golden::open("torch_muon");
    let first = parameters(&golden, DType::F32);
    let mut one = muon(&first);
    one.step(&gradients(&golden, &first, 0), 0.02).unwrap();
    let state = one.state().unwrap().unwrap();
    let names: Vec<&str> = state.keys().map(String::as_str).collect();
    let expected = [
        "moments.bias",
        "moments.narrow",
        "momentum.conv",
        "momentum.tall",
        "momentum.wide",
        "step",
    ];
    assert_eq!(names, expected);
    let state: BTreeMap<String, Tensor> = state
        .into_iter()
        .map(|(name, tensor)| (name, tensor.copy().unwrap()))
        .collect();
    let copies = first.iter().map(|(name, var)| {
        let copy = Var::from_tensor(&var.copy().unwrap()).unwrap();
        (name.clone(), copy)
    });
    let second: Vec<(String, Var)> = copies.collect();
    let mut other = muon(&second);
    other.restore(&state).unwrap();
    for step in 1..STEPS {
        one.step(&gradients(&golden, &first, step), 0.02).unwrap();
        other
            .step(&gradients(&golden, &second, step), 0.02)
            .unwrap();
    }
    for ((name, a), (_, b)) in first.iter().zip(&second) {
        assert_eq!(distance(a, b), 0., "{name}");
    }
    let mut without = state;
    without.remove("momentum.tall");
    let error = muon(&second).restore(&without).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Muon cannot take a saved state with no momentum of tall; resume with the optimizer that saved it"
    );
}

#[test]
fn groups_freeze_and_slow_matrices() {
    let golden = Golden::open("torch_muon");
    let change = |groups: ParameterGroups| {
        let parameters = parameters(&golden, DType::F64);
        let config = MuonConfig {
            weight_decay: 0.,
            ..MuonConfig::default()
        };
        let mut muon = Muon::new(parameters.clone(), config, &groups).unwrap();
        let gradients = gradients(&golden, &parameters, 0);
        muon.step(&gradients, 0.02).unwrap();
        let changes = parameters.iter().map(|(name, var)| {
            let start = golden.get(&format!("params/{name}"));
            (name.clone(), distance(var, &start))
        });
        changes.collect::<BTreeMap<_, _>>()
    };
    let all = change(ParameterGroups::default());
    let rules = ParameterGroups::default()
        .rule(GroupRule::new("wide").frozen())
        .rule(GroupRule::new("tall").lr_factor(0.5));
    let some = change(rules);
    assert_eq!(some["wide"], 0.);
    assert!((some["tall"] / all["tall"] - 0.5).abs() < 1e-9);
    assert_eq!(some["conv"], all["conv"]);
}

#[test]
fn settings_out_of_range_are_refused() {
    let cases = [
        (
            MuonConfig {
                momentum: 1.,
                ..MuonConfig::default()
            },
            "momentum",
        ),
        (
            MuonConfig {
                iterations: 0,
                ..MuonConfig::default()
            },
            "iterations",
        ),
    ];
    for (config, what) in cases {
        let error = config.validate().unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}
