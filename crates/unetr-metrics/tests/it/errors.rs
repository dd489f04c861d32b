use candle_core::{DType, Device, Tensor};
use unetr_metrics::{ConfusionMatrix, Error};

fn labels(values: &[i64]) -> Tensor {
    Tensor::new(values, &Device::Cpu)
        .unwrap()
        .unsqueeze(0)
        .unwrap()
}

fn logits(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn labels_out_of_range_are_named_and_change_nothing() {
    let mut matrix = ConfusionMatrix::new(3).unwrap();
    for value in [3, 255, -1] {
        let error = matrix
            .update(&logits(&[1, 3, 2]), &labels(&[0, value]))
            .unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(&format!("true label {value} is out of range for 3 classes")),
            "{message}"
        );
        assert_eq!(matrix.pixels(), 0);
        assert_eq!(matrix.images(), 0);
    }
    let error = matrix
        .update_labels(&labels(&[7]), &labels(&[0]))
        .unwrap_err();
    assert!(
        error.to_string().starts_with("predicted label 7"),
        "{error}"
    );
}

#[test]
fn the_ignored_label_is_left_out() {
    let mut matrix = ConfusionMatrix::new(3).unwrap().with_ignore_index(255);
    matrix
        .update(&logits(&[1, 3, 3]), &labels(&[0, 255, 1]))
        .unwrap();
    assert_eq!(
        (matrix.pixels(), matrix.count(0, 0), matrix.count(1, 0)),
        (2, 1, 1)
    );
    let error = matrix
        .update(&logits(&[1, 3, 1]), &labels(&[254]))
        .unwrap_err();
    assert!(
        matches!(error, Error::LabelOutOfRange { value: 254, .. }),
        "{error}"
    );
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let mut matrix = ConfusionMatrix::new(3).unwrap();
    for (shape, truth) in [
        (&[1, 3, 2][..], labels(&[0, 0, 0])),
        (&[2, 3, 2], labels(&[0, 0])),
        (&[1, 3, 2, 2], labels(&[0, 0])),
        (&[3], labels(&[0])),
    ] {
        let error = matrix.update(&logits(shape), &truth).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }
    let error = matrix
        .update_labels(&labels(&[0]), &labels(&[0, 1]))
        .unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    let error = matrix
        .update(&logits(&[1, 4, 2]), &labels(&[0, 0]))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::ClassCount {
                found: 4,
                expected: 3,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn labels_must_be_integers() {
    let mut matrix = ConfusionMatrix::new(3).unwrap();
    let error = matrix
        .update(&logits(&[1, 3, 2]), &logits(&[1, 2]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "labels have data type f32; expected u8, u32, i32 or i64"
    );
}

#[test]
fn every_integer_type_and_float_width_counts_alike() {
    let truth = labels(&[0, 1, 2, 1]);
    let scores = Tensor::new(
        &[[[3f32, 0., 0., 1.], [0., 2., 1., 5.], [1., 1., 4., 0.]]],
        &Device::Cpu,
    )
    .unwrap();
    let mut expected = ConfusionMatrix::new(3).unwrap();
    expected.update(&scores, &truth).unwrap();
    assert_eq!(
        (0..3)
            .map(|class| expected.count(class, class))
            .sum::<u64>(),
        4
    );
    for integers in [DType::U8, DType::U32, DType::I32, DType::I64] {
        for floats in [DType::F64, DType::F32, DType::BF16, DType::F16] {
            let mut matrix = ConfusionMatrix::new(3).unwrap();
            let (scores, truth) = (
                scores.to_dtype(floats).unwrap(),
                truth.to_dtype(integers).unwrap(),
            );
            matrix.update(&scores, &truth).unwrap();
            assert_eq!(matrix, expected, "{floats:?} {integers:?}");
        }
    }
}

#[test]
fn no_classes_is_an_error() {
    assert!(matches!(ConfusionMatrix::new(0), Err(Error::NoClasses)));
}

#[test]
fn matrices_that_differ_do_not_merge() {
    let mut matrix = ConfusionMatrix::new(3).unwrap();
    for other in [
        ConfusionMatrix::new(2).unwrap(),
        ConfusionMatrix::new(3).unwrap().with_ignore_index(255),
    ] {
        assert!(matches!(matrix.merge(&other), Err(Error::Merge { .. })));
    }
}

#[test]
fn a_stored_matrix_is_checked() {
    let mut matrix = ConfusionMatrix::new(2).unwrap().with_ignore_index(9);
    matrix
        .update_labels(&labels(&[0, 1, 1]), &labels(&[0, 0, 9]))
        .unwrap();
    let json = serde_json::to_string(&matrix).unwrap();
    assert_eq!(
        serde_json::from_str::<ConfusionMatrix>(&json).unwrap(),
        matrix
    );
    let torn = json.replace("\"classes\":2", "\"classes\":3");
    let error = serde_json::from_str::<ConfusionMatrix>(&torn).unwrap_err();
    assert!(
        error.to_string().contains("3 x 3 counts, found 4"),
        "{error}"
    );
}
