//! What holds for every metric set: merging, the order of batches, ignored pixels, storage, errors.

use candle_core::{DType, Device, Tensor};
use unetr_metrics::{BoundaryIou, ConfusionMatrix, Error, MetricSet};

use crate::scores::{NAMES, fixture, logits, metrics};

/// Everything that can be asked for.
fn full() -> MetricSet {
    metrics()
        .with_boundary_iou(BoundaryIou::DILATION_RATIO)
        .unwrap()
}

/// The fixture's images one by one.
fn batches() -> Vec<(Tensor, Tensor)> {
    let tensors = fixture();
    let part = |name: &str, n| tensors[name].narrow(0, n, 1).unwrap();
    let batch = |n| (logits(&part("predicted", n)), part("truth", n));
    (0..6).map(batch).collect()
}

fn counted<'a>(batches: impl IntoIterator<Item = &'a (Tensor, Tensor)>) -> MetricSet {
    let mut metrics = full();
    for (logits, labels) in batches {
        metrics.update(logits, labels).unwrap();
    }
    metrics
}

/// Counts are equal bit for bit; means over the images are sums of f64 in another order.
fn assert_same(left: &MetricSet, right: &MetricSet) {
    assert_eq!(left.confusion_matrix(), right.confusion_matrix());
    let (left, right) = (left.compute(), right.compute());
    assert!(left.keys().eq(right.keys()), "{left:?} {right:?}");
    for (name, value) in left {
        let bound = if name.contains("imagewise") {
            1e-14
        } else {
            0.0
        };
        assert!((value - right[&name]).abs() <= bound, "{name}");
    }
}

#[test]
fn merged_parts_equal_the_whole() {
    let batches = batches();
    let whole = counted(&batches);
    for cut in 0..=batches.len() {
        let mut merged = counted(&batches[..cut]);
        merged.merge(&counted(&batches[cut..])).unwrap();
        assert_same(&merged, &whole);
    }
}

#[test]
fn the_order_and_size_of_batches_change_nothing() {
    let batches = batches();
    let whole = counted(&batches);
    assert_same(&counted(batches.iter().rev()), &whole);
    let tensors = fixture();
    let together = (logits(&tensors["predicted"]), tensors["truth"].clone());
    assert_eq!(counted([&together]), whole);
}

#[test]
fn counts_added_later_equal_updates() {
    let batches = batches();
    let mut metrics = full();
    let counts = batches
        .iter()
        .map(|(logits, labels)| metrics.count(logits, labels));
    let mut counts: Vec<_> = counts.collect::<Result<_, _>>().unwrap();
    assert!(counts.iter().all(|counts| counts.waiting() == 17));
    assert_eq!(metrics, full());
    let last = counts.split_off(4);
    let mut scores = metrics.add(counts).unwrap();
    scores.extend(metrics.add(last).unwrap());
    assert_eq!(metrics, counted(&batches));
    let tensors = fixture();
    let expected = metrics.image_scores(&tensors["predicted"], &tensors["truth"]);
    assert_eq!(scores, expected.unwrap());
}

#[test]
fn what_is_predicted_at_ignored_pixels_changes_nothing() {
    let tensors = fixture();
    let (predicted, truth) = (&tensors["predicted"], &tensors["truth"]);
    let ignored = truth.eq(255u8).unwrap();
    // 1 for 0, and 0 for all others.
    let elsewhere = predicted.eq(0u8).unwrap();
    let other = ignored.where_cond(&elsewhere, predicted).unwrap();
    let changed = predicted.ne(&other).unwrap().to_dtype(DType::F32).unwrap();
    assert!(changed.sum_all().unwrap().to_scalar::<f32>().unwrap() > 1000.0);
    let one = counted([&(logits(predicted), truth.clone())]);
    assert_eq!(counted([&(logits(&other), truth.clone())]), one);
    // A pass that ignores nothing counts more.
    assert!(one.confusion_matrix().pixels() < truth.elem_count() as u64);
}

#[test]
fn an_image_of_ignored_pixels_counts_in_no_mean() {
    let (logits, labels) = &batches()[1];
    let expected = counted([&(logits.clone(), labels.clone())]);
    let ignored = Tensor::full(255u8, labels.shape(), &Device::Cpu).unwrap();
    let mut metrics = expected.clone();
    let counts = metrics.count(logits, &ignored).unwrap();
    assert_eq!(metrics.add([counts]).unwrap(), [None]);
    assert_eq!(metrics.compute(), expected.compute());
    assert_eq!(metrics.confusion_matrix().images(), 2);
}

#[test]
fn an_empty_batch_is_no_error() {
    let none = Tensor::zeros((0, 4, 8, 8), DType::F32, &Device::Cpu).unwrap();
    let labels = Tensor::zeros((0, 8, 8), DType::U8, &Device::Cpu).unwrap();
    assert_eq!(counted([&(none, labels)]), full());
}

#[test]
fn threads_change_nothing() {
    let batches = batches();
    let expected = counted(&batches);
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        assert_eq!(pool.unwrap().install(|| counted(&batches)), expected);
    }
}

#[test]
fn a_stored_set_is_the_same() {
    let metrics = counted(&batches());
    let json = serde_json::to_string(&metrics).unwrap();
    let stored: MetricSet = serde_json::from_str(&json).unwrap();
    assert_eq!(stored, metrics);
    for (what, torn, message) in [
        (r#""sky","#, "", "3 class names has scores of 4 classes"),
        (
            r#""classes":[1,3]"#,
            r#""classes":[3,1]"#,
            "classes [3, 1] of 4",
        ),
        (r#""classes":[1,3]"#, r#""classes":[]"#, "classes [] of 4"),
        (
            r#""means_without":[[2]"#,
            r#""means_without":[[4]"#,
            "classes [4] of 4",
        ),
        (
            r#""dilation_ratio":0.02"#,
            r#""dilation_ratio":-1.0"#,
            "dilation ratio is -1",
        ),
        (r#""groups""#, r#""group""#, "unknown field `group`"),
    ] {
        assert!(json.contains(what), "{what} in {json}");
        let error = serde_json::from_str::<MetricSet>(&json.replacen(what, torn, 1));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_set_stored_before_there_were_groups_loads_and_goes_on() {
    let json = r#"{"class_names":["a","b"],"absent_class":"zero",
        "averages":{"loss":{"total":3.0,"weight":2.0}},
        "confusion_matrix":{"classes":2,"ignore_index":null,"images":1,"counts":[3,1,0,2]}}"#;
    let mut metrics: MetricSet = serde_json::from_str(json).unwrap();
    let scores = metrics.compute();
    assert_eq!((scores["loss"], scores["iou/a"]), (1.5, 0.75));
    // It has seen no image by itself.
    assert!(!scores.keys().any(|name| name.contains("imagewise")));
    let logits = Tensor::new(&[[[1f32, 0.], [0., 1.]]], &Device::Cpu).unwrap();
    let labels = Tensor::new(&[[0u8, 1]], &Device::Cpu).unwrap();
    metrics.update(&logits, &labels).unwrap();
    assert_eq!(metrics.compute()["mean_iou_imagewise"], 1.0);
}

#[test]
fn a_reset_set_is_a_new_one() {
    let mut metrics = counted(&batches());
    metrics.update_average("loss", 1.0);
    metrics.reset();
    assert_eq!(metrics, full());
}

#[test]
fn sets_of_other_rules_do_not_merge() {
    let plain = || MetricSet::new(NAMES).unwrap().with_ignore_index(255);
    let ratio = |ratio| metrics().with_boundary_iou(ratio).unwrap();
    for (left, right, what) in [
        (full(), metrics(), "with and without boundary IoU"),
        (metrics(), full(), "with and without boundary IoU"),
        (ratio(0.02), ratio(0.01), "boundary IoU of different rules"),
        (metrics(), plain(), "different groups or means"),
        (
            plain(),
            plain().with_mean_without(["dog"]).unwrap(),
            "different groups or means",
        ),
        (
            plain(),
            plain().with_ignore_index(7),
            "ignore different labels",
        ),
    ] {
        let mut merged = left.clone();
        let error = merged.merge(&right).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(merged, left);
    }
    let (logits, labels) = &batches()[0];
    let counts = metrics().count(logits, labels).unwrap();
    let error = full().add([counts.clone()]).unwrap_err();
    assert!(matches!(error, Error::Merge { .. }), "{error}");
    let mut other = MetricSet::new(["a", "b"]).unwrap();
    let error = other.add([counts]).unwrap_err().to_string();
    assert!(error.contains("another number of classes"), "{error}");
    assert_eq!(other.confusion_matrix().images(), 0);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let new = || MetricSet::new(NAMES).unwrap();
    let problem = |metrics: unetr_metrics::Result<MetricSet>| metrics.unwrap_err().to_string();
    assert_eq!(
        problem(new().with_group("pet", ["cat", "cow"])),
        r#"there is no class "cow"; the classes are ["sky", "cat", "grass", "dog"]"#
    );
    assert!(problem(new().with_group("none", [""; 0])).contains(r#"group "none" names 0 of 4"#));
    assert!(problem(new().with_group("all", NAMES)).contains("names 4 of 4 classes"));
    assert!(problem(new().with_mean_without(NAMES)).contains("names 4 of 4 classes"));
    assert!(problem(new().with_group("cat", ["dog"])).contains(r#""cat" is given twice"#));
    assert!(problem(metrics().with_group("pet", ["dog"])).contains(r#""pet" is given twice"#));
    for ratio in [0.0, -0.1, 1.5, f64::NAN] {
        assert!(problem(new().with_boundary_iou(ratio)).contains("dilation ratio"));
    }
    // A class that is named twice counts once.
    let twice = new().with_group("pet", ["dog", "cat", "dog"]).unwrap();
    let (logits, labels) = &batches()[0];
    let mut twice = twice.with_ignore_index(255);
    twice.update(logits, labels).unwrap();
    let mut once = metrics();
    once.update(logits, labels).unwrap();
    assert_eq!(twice.compute()["iou/pet"], once.compute()["iou/pet"]);
}

#[test]
fn labels_out_of_range_change_nothing() {
    let (logits, labels) = &batches()[1];
    let mut metrics = full();
    let stray = Tensor::full(9u8, labels.shape(), &Device::Cpu).unwrap();
    let error = metrics.update(logits, &stray).unwrap_err().to_string();
    assert!(
        error.contains("true label 9 is out of range for 4 classes"),
        "{error}"
    );
    // As a device counts them, for which half-precision logits go the same way.
    let logits = logits.to_dtype(DType::F16).unwrap();
    let counts = metrics_without_boundary(&logits, labels, &stray);
    let mut plain = self::metrics();
    let error = plain.add(counts).unwrap_err().to_string();
    let pixels = labels.elem_count();
    assert!(
        error.starts_with(&format!(
            "image 1, counted from 0, has {pixels} true labels out of range"
        )),
        "{error}"
    );
    assert_eq!((metrics, plain), (full(), self::metrics()));
}

/// Counts of an image, and of one with stray labels.
fn metrics_without_boundary(
    logits: &Tensor,
    labels: &Tensor,
    stray: &Tensor,
) -> Vec<unetr_metrics::BatchCounts> {
    let metrics = metrics();
    [labels, stray]
        .map(|labels| metrics.count(logits, labels).unwrap())
        .into()
}

#[test]
fn a_boundary_needs_an_image() {
    let flat = |xs: &Tensor, from| xs.flatten_from(from).unwrap();
    let (logits, labels) = &batches()[0];
    let error = full()
        .update(&flat(logits, 2), &flat(labels, 1))
        .unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    let mut boundary = BoundaryIou::new(4).unwrap();
    let error = boundary
        .update_labels(labels, labels)
        .unwrap_err()
        .to_string();
    assert!(error.contains("label 255 is out of range"), "{error}");
    assert_eq!(boundary, BoundaryIou::new(4).unwrap());
    assert!(matches!(BoundaryIou::new(0), Err(Error::NoClasses)));
}

#[test]
fn merging_classes_needs_a_number_for_each() {
    let matrix = ConfusionMatrix::new(3).unwrap();
    let error = matrix.merged(&[0, 1]).unwrap_err().to_string();
    assert_eq!(
        error,
        "2 merged classes are given for 3 classes; expected one for each"
    );
    assert_eq!(
        matrix.merged(&[1, 0, 1]).unwrap(),
        ConfusionMatrix::new(2).unwrap()
    );
}
