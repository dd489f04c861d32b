use candle_core::{Device, Tensor};
use unetr_metrics::{AbsentClass, Average, Error, MetricSet};

fn batch(truth: &[u8]) -> (Tensor, Tensor) {
    let predicted_first = vec![
        vec![1f32; truth.len()],
        vec![0.; truth.len()],
        vec![0.; truth.len()],
    ];
    let logits = Tensor::new(predicted_first, &Device::Cpu)
        .unwrap()
        .unsqueeze(0)
        .unwrap();
    (
        logits,
        Tensor::new(truth, &Device::Cpu)
            .unwrap()
            .unsqueeze(0)
            .unwrap(),
    )
}

#[test]
fn numbers_have_names() {
    let mut metrics = MetricSet::new(["pet", "background", "boundary"]).unwrap();
    let (logits, labels) = batch(&[0, 0, 0, 1]);
    metrics.update(&logits, &labels).unwrap();
    metrics.update_average("loss", 2.0);
    metrics.update_average("loss", 1.0);

    let scores = metrics.compute();
    let names: Vec<&str> = scores.keys().map(String::as_str).collect();
    let expected = [
        "accuracy",
        "dice/background",
        "dice/boundary",
        "dice/pet",
        "iou/background",
        "iou/boundary",
        "iou/pet",
        "iou_imagewise/background",
        "iou_imagewise/boundary",
        "iou_imagewise/pet",
        "loss",
        "mean_dice",
        "mean_iou",
        "mean_iou_imagewise",
        "precision/background",
        "precision/boundary",
        "precision/pet",
        "recall/background",
        "recall/boundary",
        "recall/pet",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        (scores["loss"], scores["accuracy"], scores["mean_iou"]),
        (1.5, 0.75, 0.25)
    );

    let skipping = metrics
        .clone()
        .with_absent_class(AbsentClass::Skip)
        .compute();
    assert!(!skipping.contains_key("iou/boundary"));
    assert_eq!(skipping["mean_iou"], 0.375);

    metrics.reset();
    assert!(metrics.compute().is_empty());
}

#[test]
fn merging_equals_counting_together() {
    let fresh = || {
        MetricSet::new(["pet", "background", "boundary"])
            .unwrap()
            .with_ignore_index(9)
    };
    let (mut together, mut left, mut right) = (fresh(), fresh(), fresh());
    for (part, truth, loss) in [
        (&mut left, &[0u8, 1, 2], 0.5),
        (&mut right, &[2, 9, 0], 1.5),
    ] {
        let (logits, labels) = batch(truth);
        for metrics in [part, &mut together] {
            metrics.update(&logits, &labels).unwrap();
            metrics.update_average("loss", loss);
        }
    }
    left.merge(&right).unwrap();
    assert_eq!(left, together);
    let json = serde_json::to_string(&left).unwrap();
    assert_eq!(serde_json::from_str::<MetricSet>(&json).unwrap(), together);

    let other = MetricSet::new(["cat", "dog", "boundary"]).unwrap();
    assert!(matches!(left.merge(&other), Err(Error::Merge { .. })));
}

#[test]
fn class_names_are_distinct() {
    let error = MetricSet::new(["pet", "pet"]).unwrap_err();
    assert!(
        error.to_string().contains("\"pet\" is given twice"),
        "{error}"
    );
    assert!(matches!(
        MetricSet::new(Vec::<String>::new()),
        Err(Error::NoClasses)
    ));
}

#[test]
fn an_average_weighs() {
    let mut average = Average::default();
    average.update_weighted(1.0, 3.0);
    average.update_weighted(5.0, 1.0);
    assert_eq!(average.compute(), 2.0);
    let mut other = Average::default();
    other.update_weighted(8.0, 2.0);
    average.merge(&other);
    assert_eq!(average.compute(), 4.0);
    average.reset();
    assert_eq!(average, Average::default());
}
