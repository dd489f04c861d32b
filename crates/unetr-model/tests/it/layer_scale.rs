//! Learned factors of what the encoder blocks add.

use candle_core::{DType, Device, Tensor, Var};
use unetr_model::{EncoderBlock, Mode, Parameters, Unetr, UnetrConfig, VitConfig};

use crate::finite_differences::{assert_gradients, numbers, scalar};
use crate::fixture::{assert_close, distance};

const TRAIN: Mode = Mode::Train { seed: 3 };

fn config(layer_scale: Option<f64>) -> VitConfig {
    VitConfig {
        hidden_size: 6,
        mlp_size: 5,
        heads: 2,
        layer_scale,
        ..VitConfig::default()
    }
}

/// A block whose factors differ from channel to channel.
fn block() -> (EncoderBlock, Parameters) {
    let parameters = Parameters::new(5, DType::F64, &Device::Cpu);
    let block = EncoderBlock::new(&config(Some(0.1)), parameters.var_builder()).unwrap();
    for (name, factor) in [("ls1.gamma", 0.7), ("ls2.gamma", -0.4)] {
        let values = (numbers(&[6]) * factor).unwrap();
        parameters.get(name).unwrap().set(&values).unwrap();
    }
    (block, parameters)
}

#[test]
fn parameters_have_timms_names_and_start_at_the_value() {
    let cfg = UnetrConfig {
        layer_scale: Some(1e-5),
        ..UnetrConfig::tiny()
    };
    let names = |cfg: &UnetrConfig| {
        let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
        Unetr::new(cfg, parameters.var_builder()).unwrap();
        (parameters.names(), parameters)
    };
    let (without, _) = names(&UnetrConfig::tiny());
    let (mut with, parameters) = names(&cfg);
    let scales = with.extract_if(.., |name| name.ends_with("gamma"));
    let expected = (0..4).flat_map(|i| [1, 2].map(|n| format!("vit.blocks.{i}.ls{n}.gamma")));
    assert!(scales.eq(expected));
    assert_eq!(with, without);
    let gamma = parameters.get("vit.blocks.3.ls2.gamma").unwrap();
    assert_eq!(gamma.to_vec1::<f32>().unwrap(), [1e-5; 32]);
}

#[test]
fn factors_of_0_are_the_identity_and_of_1_no_factors() {
    let xs = numbers(&[2, 4, 6]);
    let run = |layer_scale| {
        let parameters = Parameters::new(5, DType::F64, &Device::Cpu);
        let cfg = config(layer_scale);
        let block = EncoderBlock::new(&cfg, parameters.var_builder()).unwrap();
        block.forward(&xs, Mode::Eval).unwrap()
    };
    assert_eq!(distance(&run(Some(0.)), &xs), 0.);
    assert_eq!(distance(&run(Some(1.)), &run(None)), 0.);
}

#[test]
fn the_fused_block_is_the_separate_operations() {
    let (fused, parameters) = block();
    let rare = VitConfig {
        // So rare that it never happens: the operations one by one, the factors on what they add.
        dropout: f64::MIN_POSITIVE,
        ..config(Some(0.1))
    };
    let separate = EncoderBlock::new(&rare, parameters.var_builder()).unwrap();
    let xs = Var::from_tensor(&numbers(&[2, 4, 6])).unwrap();
    let run = |block: &EncoderBlock| -> (Tensor, _) {
        let ys = block.forward(&xs, TRAIN).unwrap();
        let gradients = scalar(&ys).backward().unwrap();
        (ys, gradients)
    };
    let ((found, found_gradients), (expected, expected_gradients)) = (run(&fused), run(&separate));
    assert_close("output", &found, &expected, 1e-12);
    let all = parameters.trainable().into_iter();
    for (name, var) in all.chain([("xs".to_owned(), xs.clone())]) {
        let [found, expected] =
            [&found_gradients, &expected_gradients].map(|gradients| gradients.get(&var).unwrap());
        assert_close(&name, found, expected, 1e-11);
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (block, parameters) = block();
    let xs = Var::from_tensor(&numbers(&[2, 4, 6])).unwrap();
    let mut variables = parameters.trainable();
    variables.push(("xs".to_owned(), xs.clone()));
    assert_gradients(&variables, || block.forward(&xs, TRAIN));
}
