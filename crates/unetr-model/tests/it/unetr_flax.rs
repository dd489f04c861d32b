//! The whole network against the tutorial's Flax model.

use candle_core::{DType, Tensor};
use unetr_model::{Mode, NormConfig, Unetr, UnetrConfig};
use unetr_ops::{CrossEntropyConfig, JaccardReduction, cross_entropy, soft_jaccard};

use crate::fixture::{Fixture, assert_close, assert_gradients, distance};

const TRAIN: Mode = Mode::Train { seed: 0 };

fn small() -> UnetrConfig {
    UnetrConfig {
        image_size: [64, 64],
        feature_size: 4,
        hidden_size: 24,
        mlp_size: 48,
        heads: 4,
        ..UnetrConfig::tutorial()
    }
}

fn batch_norm() -> UnetrConfig {
    UnetrConfig {
        feature_size: 2,
        hidden_size: 12,
        mlp_size: 16,
        heads: 3,
        norm: NormConfig::BATCH_FLAX,
        ..small().with_image_size([32, 32])
    }
}

fn loss(fixture: &Fixture, logits: &Tensor) -> Tensor {
    let masks = fixture.get("in/mask").to_dtype(DType::U32).unwrap();
    let jaccard = soft_jaccard(logits, &masks, JaccardReduction::Mean, None).unwrap();
    (cross_entropy(logits, &masks, &CrossEntropyConfig::default()).unwrap() + jaccard).unwrap()
}

#[test]
fn instance_norm_logits_loss_and_gradients() {
    let fixture = Fixture::open("unetr_small");
    // The bounds are those of the fixtures' README; f64 shows that nothing but rounding is left.
    for (dtype, absolute, relative) in [(DType::F32, 5e-5, 5e-5), (DType::F64, 1e-6, 1e-6)] {
        let parameters = fixture.parameters("", dtype);
        let images = &fixture.inputs(dtype)["x"];
        let model = Unetr::new(&small(), parameters.var_builder()).unwrap();
        assert!(parameters.unused().is_empty());
        assert_eq!(parameters.count(), 137_315);

        let logits = model.forward(images, TRAIN).unwrap();
        let deviation = distance(&logits, &fixture.reference("out/logits"));
        assert!(
            deviation <= absolute,
            "{dtype:?}: logits differ by {deviation:.2e}"
        );

        let loss = loss(&fixture, &logits);
        assert_close("loss", &loss, &fixture.reference("loss/total"), 5e-6);
        let gradients = loss.backward().unwrap();
        let expected = fixture.reference("grad/in/x");
        assert_close(
            "gradient of x",
            gradients.get(images).unwrap(),
            &expected,
            relative,
        );
        let expected = fixture.reference_tree("grad/params/", "");
        assert_gradients("unetr_small", &parameters, &gradients, &expected, relative);
    }
}

#[test]
fn batch_norm_in_training_and_evaluation() {
    let fixture = Fixture::open("unetr_bn");
    let cfg = batch_norm();
    for (dtype, bound) in [(DType::F32, 5e-5), (DType::F64, 1e-6)] {
        let parameters = fixture.parameters("", dtype);
        let images = &fixture.inputs(dtype)["x"];
        let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
        assert!(parameters.unused().is_empty());

        let logits = model.forward(images, Mode::Eval).unwrap();
        assert_close(
            "eval",
            &logits,
            &fixture.reference("out/logits_eval"),
            bound,
        );
        let logits = model.forward(images, TRAIN).unwrap();
        assert_close(
            "train",
            &logits,
            &fixture.reference("out/logits_train"),
            bound,
        );

        let loss = loss(&fixture, &logits);
        assert_close("loss", &loss, &fixture.reference("loss/total"), 5e-6);
        let gradients = loss.backward().unwrap();
        let expected = fixture.reference_tree("grad/params/", "");
        // The gradients and statistics of this file are Flax's in f32.
        assert_gradients("unetr_bn", &parameters, &gradients, &expected, 5e-5);

        let after = fixture.tree("stats_after/", "");
        assert_eq!(
            after.len() + parameters.trainable().len(),
            parameters.names().len()
        );
        for (name, expected) in after {
            assert_close(&name, &parameters.get(&name).unwrap(), &expected, 1e-5);
        }
    }
}

/// Mixed precision: images decide the type of the computation, parameters that of their gradients.
#[test]
fn layers_compute_in_the_type_of_their_input() {
    for (name, cfg) in [("unetr_small", small()), ("unetr_bn", batch_norm())] {
        let fixture = Fixture::open(name);
        let parameters = fixture.parameters("", DType::F32);
        let images = &fixture.inputs(DType::F64)["x"];
        let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
        model.forward(images, Mode::Eval).unwrap();
        let logits = model.forward(images, TRAIN).unwrap();
        assert_eq!(logits.dtype(), DType::F64);
        let gradients = loss(&fixture, &logits).backward().unwrap();
        for (_, var) in parameters.trainable() {
            assert_eq!(gradients.get(&var).unwrap().dtype(), DType::F32);
        }
        let expected = fixture.reference_tree("grad/params/", "");
        assert_gradients(name, &parameters, &gradients, &expected, 5e-5);
    }
}
