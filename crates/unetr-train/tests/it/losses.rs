//! Losses and their gradients against JAX in float64.

use candle_core::{Device, Tensor, Var};
use unetr_train::{CrossEntropy, JaccardReduction, Loss, SoftJaccard, SumLoss};

use crate::golden::{Golden, distance};

/// Absolute, in f32, see `tests/fixtures/README.md`.
const BOUND: f64 = 1e-6;

const CASES: [&str; 4] = ["random", "confident", "wrong", "five_classes_one_absent"];

/// Value and gradient of a loss on the logits of a case.
fn value_and_gradient(golden: &Golden, case: &str, loss: &dyn Loss) -> (Tensor, Tensor) {
    let logits = Var::from_tensor(&golden.get(&format!("{case}/logits"))).unwrap();
    let labels = golden.labels(&format!("{case}/masks"));
    let value = loss.compute(&logits, &labels).unwrap();
    let gradient = value.total.backward().unwrap().remove(&logits).unwrap();
    (value.total, gradient)
}

#[test]
fn values_and_gradients_equal_jax() {
    let golden = Golden::open("losses");
    let sum = SoftJaccard {
        reduction: JaccardReduction::Sum,
        ..SoftJaccard::default()
    };
    let losses: [(&str, &dyn Loss); 3] = [
        ("xentropy", &CrossEntropy::default()),
        ("jaccard_mean", &SoftJaccard::default()),
        ("jaccard_sum", &sum),
    ];
    for case in CASES {
        for (name, loss) in losses {
            let (value, gradient) = value_and_gradient(&golden, case, loss);
            for (key, found) in [(name.to_owned(), value), (format!("grad_{name}"), gradient)] {
                let expected = golden.reference(&format!("{case}/{key}"));
                let deviation = distance(&found, &expected);
                assert!(deviation <= BOUND, "{case}/{key}: {deviation:.2e}");
            }
        }
    }
}

#[test]
fn a_sum_has_the_value_and_gradient_of_its_terms() {
    let golden = Golden::open("losses");
    for case in CASES {
        let (value, gradient) = value_and_gradient(&golden, case, &SumLoss::tutorial());
        for (family, found) in [("", value), ("grad_", gradient)] {
            let term = |name| golden.reference(&format!("{case}/{family}{name}"));
            let expected = (term("xentropy") + term("jaccard_mean")).unwrap();
            let deviation = distance(&found, &expected);
            assert!(deviation <= 2. * BOUND, "{case}: {deviation:.2e}");
        }
    }
}

#[test]
fn parts_are_named_and_add_up() {
    let golden = Golden::open("losses");
    let labels = golden.labels("random/masks");
    let logits = golden.get("random/logits");
    let value = SumLoss::tutorial().compute(&logits, &labels).unwrap();
    let names: Vec<&str> = value.parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cross_entropy", "soft_jaccard"]);
    let sum = (&value.parts[0].1 + &value.parts[1].1).unwrap();
    assert_eq!(distance(&sum, &value.total), 0.);
}

#[test]
fn what_is_computed_together_is_the_sum_of_what_is_computed_alone() {
    let golden = Golden::open("losses");
    let labels = golden.labels("random/masks");
    let logits = golden.get("random/logits");
    let jaccard = SoftJaccard {
        reduction: JaccardReduction::Sum,
        ..SoftJaccard::default()
    };
    let cross_entropy = CrossEntropy::default();
    let together = SumLoss::new(jaccard)
        .plus(cross_entropy.clone())
        .plus(jaccard);
    let value = together.compute(&logits, &labels).unwrap();
    let alone: [&dyn Loss; 3] = [&jaccard, &cross_entropy, &jaccard];
    assert_eq!(value.parts.len(), alone.len());
    for ((name, part), alone) in value.parts.iter().zip(alone) {
        let alone = alone.compute(&logits, &labels).unwrap();
        assert_eq!(name, &alone.parts[0].0);
        assert_eq!(distance(part, &alone.total), 0., "{name}");
    }
    let total = (&value.parts[0].1 + &value.parts[1].1).unwrap();
    let total = (total + &value.parts[2].1).unwrap();
    assert!(distance(&value.total, &total) <= BOUND);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let golden = Golden::open("losses");
    let logits = golden.get("random/logits");
    let labels = Tensor::zeros((2, 5, 6), candle_core::DType::U8, &Device::Cpu).unwrap();
    assert!(SumLoss::tutorial().compute(&logits, &labels).is_err());
}
