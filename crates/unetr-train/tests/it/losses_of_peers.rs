//! Losses and their gradients against PyTorch, MONAI, segmentation_models.pytorch and Berman's Lovász
//! loss in float64, made by `gen_segmentation_losses.py`, see `tests/fixtures/README.md`; and what holds
//! for all of them.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use unetr_train::{
    ClassMean, CrossEntropy, Dice, Focal, Loss, Lovasz, Region, SoftJaccard, SumLoss, Tversky,
};

use crate::golden::{distance, largest, values};

const VOID: Option<u32> = Some(255);
const WEIGHTS: [f32; 4] = [0.5, 2., 1.25, 0.75];

fn fixture() -> HashMap<String, Tensor> {
    let path = crate::fixture("segmentation_losses.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn value_and_gradient(loss: &dyn Loss, logits: &Tensor, labels: &Tensor) -> (Tensor, Tensor) {
    let logits = Var::from_tensor(logits).unwrap();
    let value = loss.compute(&logits, labels).unwrap().total;
    let gradient = value.backward().unwrap().remove(&logits).unwrap();
    (value, gradient)
}

/// Losses by the names of the fixture.
fn losses() -> Vec<(&'static str, Box<dyn Loss>)> {
    let weights = || Some(WEIGHTS.to_vec());
    let cross_entropy = CrossEntropy::default;
    let focal = |gamma, class_weights| Focal {
        gamma,
        class_weights,
        ignore_index: VOID,
    };
    let lovasz = |region, classes| Lovasz {
        region,
        classes,
        ignore_index: VOID,
    };
    let smp_tversky = || Tversky {
        alpha: 0.3,
        beta: 0.7,
        region: Region::Batch,
        classes: ClassMean::Present,
        smooth_numerator: 1.,
        smooth_denominator: 1.,
        ignore_index: VOID,
        ..Tversky::default()
    };
    vec![
        (
            "cross_entropy/weights",
            Box::new(CrossEntropy {
                class_weights: weights(),
                ..cross_entropy()
            }),
        ),
        (
            "cross_entropy/smoothing",
            Box::new(CrossEntropy {
                smoothing: 0.1,
                ..cross_entropy()
            }),
        ),
        (
            "cross_entropy/ignore",
            Box::new(CrossEntropy {
                ignore_index: VOID,
                ..cross_entropy()
            }),
        ),
        (
            "cross_entropy/all",
            Box::new(CrossEntropy {
                class_weights: weights(),
                smoothing: 0.3,
                ignore_index: VOID,
            }),
        ),
        (
            "soft_jaccard/ignore",
            Box::new(SoftJaccard {
                ignore_index: VOID,
                ..SoftJaccard::default()
            }),
        ),
        ("dice/monai", Box::new(Dice::default())),
        (
            "dice/monai_batch",
            Box::new(Dice {
                region: Region::Batch,
                ..Dice::default()
            }),
        ),
        (
            "dice/monai_foreground",
            Box::new(Dice {
                classes: ClassMean::Only(vec![1, 2, 3]),
                ..Dice::default()
            }),
        ),
        (
            "dice/smp",
            Box::new(Dice {
                region: Region::Batch,
                classes: ClassMean::Present,
                // Its Dice is a Tversky of halves, which is smoothed before both are doubled.
                smooth_numerator: 2.,
                smooth_denominator: 2.,
                ignore_index: VOID,
            }),
        ),
        (
            "tversky/monai",
            Box::new(Tversky {
                alpha: 0.3,
                beta: 0.7,
                ..Tversky::default()
            }),
        ),
        ("tversky/smp", Box::new(smp_tversky())),
        (
            "tversky/smp_focal",
            Box::new(Tversky {
                exponent: 0.75,
                classes: ClassMean::Only(vec![1]),
                ..smp_tversky()
            }),
        ),
        ("focal/gamma_0.5", Box::new(focal(0.5, None))),
        ("focal/gamma_2", Box::new(focal(2., None))),
        ("focal/weights", Box::new(focal(2., weights()))),
        (
            "lovasz/smp",
            Box::new(lovasz(Region::Batch, ClassMean::Present)),
        ),
        (
            "lovasz/smp_image",
            Box::new(lovasz(Region::Image, ClassMean::Present)),
        ),
        (
            "lovasz/all",
            Box::new(lovasz(Region::Batch, ClassMean::All)),
        ),
        (
            "lovasz/all_image",
            Box::new(lovasz(Region::Image, ClassMean::All)),
        ),
        (
            "lovasz/only",
            Box::new(lovasz(Region::Batch, ClassMean::Only(vec![0, 3]))),
        ),
    ]
}

/// A loss of each kind, which ignores 255.
fn kinds() -> Vec<Box<dyn Loss>> {
    let names = [
        "cross_entropy/all",
        "soft_jaccard/ignore",
        "dice/smp",
        "tversky/smp_focal",
        "focal/gamma_2",
        "lovasz/smp",
    ];
    let kinds = losses().into_iter();
    kinds
        .filter_map(|(name, loss)| names.contains(&name).then_some(loss))
        .collect()
}

#[test]
fn values_and_gradients_equal_those_of_peers() {
    let fixture = fixture();
    let losses = losses();
    let count = fixture
        .keys()
        .filter(|key| key.starts_with("grad/"))
        .count();
    assert_eq!(losses.len(), count, "every loss of the fixture");
    for (name, loss) in losses {
        let void = format!("{loss:?}").contains("255");
        let labels = &fixture[if void { "labels_with_void" } else { "labels" }];
        let expected = [&fixture[name], &fixture[&format!("grad/{name}")]];
        for (dtype, bound) in [(DType::F64, 1e-12), (DType::F32, 1e-6)] {
            let logits = fixture["logits"].to_dtype(dtype).unwrap();
            let (value, gradient) = value_and_gradient(&*loss, &logits, labels);
            for (found, expected) in [value, gradient].iter().zip(expected) {
                let deviation = distance(found, expected);
                assert!(deviation <= bound, "{name} in {dtype:?}: {deviation:.2e}");
            }
        }
    }
}

#[test]
fn a_perfect_prediction_costs_nothing() {
    let labels = &fixture()["labels_with_void"];
    let class = Tensor::arange(0i64, 4, &Device::Cpu).unwrap();
    let class = class.reshape((1, 4, 1, 1)).unwrap();
    let hits = labels.unsqueeze(1).unwrap().broadcast_eq(&class).unwrap();
    let logits = (hits.to_dtype(DType::F32).unwrap() * 60.).unwrap();
    for loss in kinds() {
        let smoothed = format!("{loss:?}").contains("smoothing: 0.3");
        let (value, gradient) = value_and_gradient(&*loss, &logits, labels);
        let value = values(&value)[0];
        match smoothed {
            // A label of which 0.3 is spread over all classes is not what was predicted.
            true => assert!(value > 1., "{loss:?}: {value}"),
            // An exponent of 0.75 takes the least loss, 1e-6, to 3.2e-5.
            false => {
                assert!(value.abs() < 4e-5, "{loss:?}: {value}");
                assert!(largest(&gradient) < 1e-6, "{loss:?}");
            }
        }
    }
}

#[test]
fn ignored_pixels_have_no_gradient_and_of_nothing_else_the_loss_is_zero() {
    let fixture = fixture();
    let (logits, labels) = (&fixture["logits"], &fixture["labels_with_void"]);
    let void = labels.eq(255i64).unwrap();
    assert!(values(&void).contains(&1.));
    let void = void.unsqueeze(1).unwrap();
    let void = void.broadcast_as(logits.shape()).unwrap();
    let nothing = (labels.ones_like().unwrap() * 255.).unwrap();
    for loss in kinds() {
        let (_, gradient) = value_and_gradient(&*loss, logits, labels);
        let outside = gradient.mul(&void.to_dtype(DType::F64).unwrap()).unwrap();
        assert_eq!(largest(&outside), 0., "{loss:?}");
        let (value, gradient) = value_and_gradient(&*loss, logits, &nothing);
        // What an exponent leaves of the least loss belongs to classes of a region without pixels.
        assert_eq!(values(&value), [0.], "{loss:?}");
        assert_eq!(largest(&gradient), 0., "{loss:?}");
    }
}

#[test]
fn labels_that_are_no_class_are_refused() {
    let fixture = fixture();
    let labels = (&fixture["labels"] + 2.).unwrap();
    for loss in kinds() {
        let error = loss.compute(&fixture["logits"], &labels).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("is out of range for 4 classes"), "{error}");
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let fixture = fixture();
    let weights = CrossEntropy {
        class_weights: Some(vec![1., 2.]),
        ..CrossEntropy::default()
    };
    let classes = Dice {
        classes: ClassMean::Only(vec![4]),
        ..Dice::default()
    };
    let alpha = Tversky {
        alpha: -1.,
        ..Tversky::default()
    };
    let term = SumLoss::weighted(f64::NAN, Dice::default());
    let wrong: [(&dyn Loss, &str); 4] = [
        (
            &weights,
            "cross_entropy: the number of class weights is 2, expected 4, one for each class of the logits",
        ),
        (
            &classes,
            "dice: a class of the mean is 4, expected less than 4, the classes of the logits",
        ),
        (
            &alpha,
            "alpha of tversky is -1, expected a finite number of at least 0",
        ),
        (
            &term,
            "the weight of a loss is NaN, expected a finite number of at least 0",
        ),
    ];
    for (loss, expected) in wrong {
        let error = loss.compute(&fixture["logits"], &fixture["labels"]);
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
}

#[test]
fn gradients_of_overlaps_are_those_of_finite_differences() {
    const STEP: f64 = 1e-5;
    let fixture = fixture();
    let (logits, labels) = (&fixture["logits"], &fixture["labels_with_void"]);
    let start = values(logits);
    for (name, loss) in losses() {
        if !format!("{loss:?}").contains("255") {
            continue;
        }
        let (_, gradient) = value_and_gradient(&*loss, logits, labels);
        let gradient = values(&gradient);
        for place in (0..start.len()).step_by(37) {
            let at = |delta: f64| {
                let mut moved = start.clone();
                moved[place] += delta;
                let moved = Tensor::from_vec(moved, logits.shape(), &Device::Cpu).unwrap();
                values(&loss.compute(&moved, labels).unwrap().total)[0]
            };
            let numeric = (at(STEP) - at(-STEP)) / (2. * STEP);
            let off = (gradient[place] - numeric).abs();
            assert!(
                off < 1e-9,
                "{name}: {} at {place}, not {numeric}",
                gradient[place]
            );
        }
    }
}

#[test]
fn a_weighted_sum_reports_its_parts_without_weights() {
    let fixture = fixture();
    let (logits, labels) = (&fixture["logits"], &fixture["labels_with_void"]);
    let cross_entropy = CrossEntropy {
        class_weights: Some(WEIGHTS.to_vec()),
        ignore_index: VOID,
        ..CrossEntropy::default()
    };
    // The second one in one pass with the first, the third one not.
    let jaccards = [VOID, Some(0)].map(|ignore_index| SoftJaccard {
        ignore_index,
        ..SoftJaccard::default()
    });
    let labels_of_four = labels.clamp(0i64, 3i64).unwrap();
    let lovasz = Lovasz::default();
    let sum = SumLoss::weighted(2., cross_entropy.clone())
        .plus_weighted(0.5, jaccards[0])
        .plus(lovasz.clone());
    let terms: [(f64, &dyn Loss, &str); 3] = [
        (2., &cross_entropy, "cross_entropy"),
        (0.5, &jaccards[0], "soft_jaccard"),
        (1., &lovasz, "lovasz"),
    ];
    let value = sum.compute(logits, &labels_of_four).unwrap();
    let mut total = 0.;
    for ((name, part), (weight, loss, expected)) in value.parts.iter().zip(terms) {
        let alone = loss.compute(logits, &labels_of_four).unwrap().total;
        assert_eq!(name, expected);
        assert!(distance(part, &alone) < 1e-14, "{name}");
        total += weight * values(&alone)[0];
    }
    assert!((values(&value.total)[0] - total).abs() < 1e-13);

    let apart = SumLoss::new(cross_entropy.clone()).plus(jaccards[1]);
    let value = apart.compute(logits, &labels_of_four).unwrap();
    for ((_, part), loss) in value
        .parts
        .iter()
        .zip([&cross_entropy as &dyn Loss, &jaccards[1]])
    {
        let alone = loss.compute(logits, &labels_of_four).unwrap().total;
        assert_eq!(distance(part, &alone), 0.);
    }
}
