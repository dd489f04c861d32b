//! Against scikit-learn, segmentation_models.pytorch, torchmetrics and the algorithm of the authors of
//! boundary IoU; made by `tests/fixtures/gen_segmentation_scores.py`.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use unetr_metrics::{AbsentClass, BoundaryIou, MetricSet};

const FIXTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/segmentation_scores.safetensors"
);
pub const NAMES: [&str; 4] = ["sky", "cat", "grass", "dog"];
const RATIOS: [f64; 3] = [0.001, 0.02, 0.05];

pub fn fixture() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(FIXTURE, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    tensor.to_vec1().unwrap()
}

/// Logits whose greatest are these classes.
pub fn logits(classes: &Tensor) -> Tensor {
    let planes = (0..NAMES.len() as u8).map(|class| classes.eq(class)?.to_dtype(DType::F32));
    let planes: Vec<Tensor> = planes.collect::<candle_core::Result<_>>().unwrap();
    Tensor::stack(&planes, 1).unwrap()
}

pub fn metrics() -> MetricSet {
    let metrics = MetricSet::new(NAMES).unwrap().with_ignore_index(255);
    metrics
        .with_group("pet", ["cat", "dog"])
        .and_then(|metrics| metrics.with_mean_without(["grass"]))
        .and_then(|metrics| metrics.with_mean_without(["dog", "sky"]))
        .unwrap()
}

fn computed(metrics: MetricSet, truth: &str) -> BTreeMap<String, f64> {
    let (mut metrics, tensors) = (metrics, fixture());
    let logits = logits(&tensors["predicted"]);
    metrics.update(&logits, &tensors[truth]).unwrap();
    metrics.compute()
}

#[test]
fn names_are_those_of_all_scores() {
    let (mut metrics, tensors) = (metrics(), fixture());
    metrics.update_average("loss", 0.5);
    let metrics = metrics.with_boundary_iou(0.02).unwrap();
    let mut counted = metrics.clone();
    let logits = logits(&tensors["predicted"]);
    counted.update(&logits, &tensors["truth"]).unwrap();
    let computed: Vec<String> = counted.compute().into_keys().collect();
    assert_eq!(counted.names().into_iter().collect::<Vec<_>>(), computed);
    // Also before anything is counted.
    assert_eq!(metrics.names(), counted.names());
}

#[test]
fn scores_of_classes_and_groups() {
    let (scores, tensors) = (computed(metrics(), "truth"), fixture());
    for score in ["iou", "dice", "precision", "recall", "iou_imagewise"] {
        let classes = NAMES.into_iter().zip(values(&tensors[score]));
        let group = values(&tensors[&format!("group/{score}")])[0];
        for (name, expected) in classes.chain([("pet", group)]) {
            let found = scores[&format!("{score}/{name}")];
            assert!(
                (found - expected).abs() < 1e-12,
                "{score}/{name}: {found}, not {expected}"
            );
        }
    }
    let iou = values(&tensors["iou"]);
    let mean = |classes: &[usize]| {
        classes.iter().map(|&class| iou[class]).sum::<f64>() / classes.len() as f64
    };
    for (name, classes) in [
        ("mean_iou", &[0, 1, 2, 3][..]),
        ("mean_iou_without/grass", &[0, 1, 3]),
        ("mean_iou_without/sky+dog", &[1, 2]),
    ] {
        assert!((scores[name] - mean(classes)).abs() < 1e-12, "{name}");
    }
}

#[test]
fn a_group_is_the_binary_problem_of_smp() {
    let (scores, tensors) = (computed(metrics(), "clean_truth"), fixture());
    for score in ["iou", "iou_imagewise"] {
        let expected = values(&tensors[&format!("clean/group/{score}")])[0];
        let found = scores[&format!("{score}/pet")];
        assert!(
            (found - expected).abs() < 1e-12,
            "{score}: {found}, not {expected}"
        );
    }
}

#[test]
fn an_image_without_the_group_is_right_and_one_with_it_in_the_prediction_alone_is_wrong() {
    let tensors = fixture();
    // In image 1 no pixel is or was taken for one of the group, in image 2 some were.
    for (image, expected) in [(1, 1.0), (2, 0.0)] {
        let part = |name: &str| tensors[name].narrow(0, image, 1).unwrap();
        let mut metrics = metrics();
        metrics
            .update(&logits(&part("predicted")), &part("truth"))
            .unwrap();
        assert_eq!(metrics.compute()["iou_imagewise/pet"], expected);
    }
}

#[test]
fn image_scores_are_those_of_torchmetrics() {
    let (mut metrics, tensors) = (metrics(), fixture());
    // torchmetrics divides in f32.
    let expected = values(&tensors["image_mean_iou"]);
    let (predicted, truth) = (&tensors["predicted"], &tensors["truth"]);
    let scores = metrics.image_scores(predicted, truth).unwrap();
    assert_eq!(metrics, self::metrics());
    assert_eq!(scores.len(), expected.len());
    for (image, (found, expected)) in scores.iter().zip(&expected).enumerate() {
        let found = found.unwrap();
        assert!(
            (found - expected).abs() < 1e-7,
            "{image}: {found}, not {expected}"
        );
    }
    let counts = metrics.count(&logits(predicted), truth).unwrap();
    assert_eq!(metrics.add([counts]).unwrap(), scores);
    let mean = scores.iter().flatten().sum::<f64>() / scores.len() as f64;
    assert!((metrics.compute()["mean_iou_imagewise"] - mean).abs() < 1e-12);
}

#[test]
fn boundary_iou_is_that_of_its_authors() {
    let tensors = fixture();
    for ratio in RATIOS {
        let counts = values(&tensors[&format!("boundary/{ratio}")]);
        let (intersections, unions) = counts.split_at(NAMES.len());
        let expected = intersections.iter().zip(unions).map(|(i, u)| i / u);
        let expected: Vec<f64> = expected.collect();

        let boundary = BoundaryIou::new(NAMES.len())
            .unwrap()
            .with_ignore_index(255);
        let mut boundary = boundary.with_dilation_ratio(ratio).unwrap();
        let (predicted, truth) = (&tensors["predicted"], &tensors["truth"]);
        boundary.update_labels(predicted, truth).unwrap();
        let found = boundary.iou(AbsentClass::Zero);
        assert_eq!(
            found,
            expected.iter().copied().map(Some).collect::<Vec<_>>(),
            "{ratio}"
        );

        let scores = computed(metrics().with_boundary_iou(ratio).unwrap(), "truth");
        for (name, expected) in NAMES.iter().zip(&expected) {
            assert_eq!(
                scores[&format!("boundary_iou/{name}")],
                *expected,
                "{ratio} {name}"
            );
        }
        let mean = expected.iter().sum::<f64>() / NAMES.len() as f64;
        assert!((scores["mean_boundary_iou"] - mean).abs() < 1e-12);
    }
}
