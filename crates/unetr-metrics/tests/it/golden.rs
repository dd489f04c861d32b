//! Against values of the Flax tutorial's `ConfusionMatrix` and of `nnx.metrics.Average`; made by
//! `gen_metrics.py`, see `tests/fixtures/README.md`.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use unetr_metrics::{AbsentClass, Average, ConfusionMatrix, Normalization};

const FIXTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/metrics.safetensors"
);

type Tensors = HashMap<String, Tensor>;

fn fixture() -> Tensors {
    candle_core::safetensors::load(FIXTURE, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor
        .to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn flat(matrix: &ConfusionMatrix, normalization: Normalization) -> Vec<f64> {
    matrix.compute(normalization).concat()
}

/// JAX computes in f32, so a score is within an ulp or two of f32 of ours.
fn assert_close(ours: &[f64], theirs: &[f64], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= 3e-7 * b.abs(), "{what}: {a} is not {b}");
    }
}

fn zero(scores: &[Option<f64>]) -> Vec<f64> {
    scores.iter().map(|score| score.unwrap()).collect()
}

fn check_case(case: &str, classes: usize) {
    let tensors = fixture();
    let of = |key: &str| &tensors[&format!("{case}/{key}")];
    let mut matrix = ConfusionMatrix::new(classes).unwrap();
    for update in 0..3 {
        let logits = of(&format!("update{update}/y_pred"))
            .permute((0, 3, 1, 2))
            .unwrap();
        matrix
            .update(&logits, of(&format!("update{update}/y")))
            .unwrap();
        let counts = flat(&matrix, Normalization::Counts);
        assert_eq!(
            counts,
            values(of(&format!("update{update}/cm"))),
            "{case}, update {update}"
        );
    }
    assert_eq!(vec![matrix.images() as f64], values(of("count")));
    assert_eq!(
        flat(&matrix, Normalization::Counts),
        values(of("compute/none"))
    );
    for (normalization, key) in [
        (Normalization::Samples, "compute/samples"),
        (Normalization::Recall, "compute/recall"),
        (Normalization::Precision, "compute/precision"),
    ] {
        assert_close(&flat(&matrix, normalization), &values(of(key)), key);
    }
    assert_close(
        &zero(&matrix.iou(AbsentClass::Zero)),
        &values(of("iou")),
        "iou",
    );
    assert_close(
        &[matrix.mean_iou(AbsentClass::Zero)],
        &values(of("mean_iou")),
        "mean_iou",
    );
    assert_close(&[matrix.accuracy()], &values(of("accuracy")), "accuracy");

    matrix.reset();
    assert_eq!(
        flat(&matrix, Normalization::Counts),
        values(of("after_reset"))
    );
    assert_eq!(matrix, ConfusionMatrix::new(classes).unwrap());
}

#[test]
fn ties_go_to_the_lowest_class() {
    check_case("a", 3);
}

#[test]
fn a_class_that_never_occurs_scores_zero() {
    check_case("b", 4);
}

#[test]
fn a_class_that_is_never_predicted() {
    check_case("c", 3);
}

#[test]
fn skipping_an_absent_class_raises_the_mean() {
    let tensors = fixture();
    let mut matrix = ConfusionMatrix::new(4).unwrap();
    for update in 0..3 {
        let logits = tensors[&format!("b/update{update}/y_pred")]
            .permute((0, 3, 1, 2))
            .unwrap();
        matrix
            .update(&logits, &tensors[&format!("b/update{update}/y")])
            .unwrap();
    }
    let iou = matrix.iou(AbsentClass::Skip);
    assert_eq!(iou[3], None);
    assert!(iou[..3].iter().all(Option::is_some));
    let (zero, skip) = (
        matrix.mean_iou(AbsentClass::Zero),
        matrix.mean_iou(AbsentClass::Skip),
    );
    assert!(
        (skip - zero * 4.0 / 3.0).abs() < 1e-12,
        "{skip} against {zero}"
    );
}

#[test]
fn average_is_over_batches() {
    let tensors = fixture();
    let mut average = Average::default();
    assert!(average.compute().is_nan());
    values(&tensors["average/values"])
        .into_iter()
        .for_each(|value| average.update(value));
    assert_close(
        &[average.compute()],
        &values(&tensors["average/compute"]),
        "average",
    );
}
