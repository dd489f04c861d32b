use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use candle_nn::init::{DEFAULT_KAIMING_NORMAL, DEFAULT_KAIMING_UNIFORM};
use unetr_model::{Parameters, Unetr, UnetrConfig, init};

/// Values of a parameter with that hint.
fn draw(seed: u64, name: &str, hint: Init) -> Vec<f32> {
    let parameters = Parameters::new(seed, DType::F32, &Device::Cpu);
    let tensor = parameters
        .var_builder()
        .get_with_hints((400, 250), name, hint)
        .unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Mean, deviation and `max|x|`.
fn statistics(values: &[f32]) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / n;
    let variance = values
        .iter()
        .map(|&v| (f64::from(v) - mean).powi(2))
        .sum::<f64>()
        / n;
    let largest = values
        .iter()
        .fold(0f64, |most, &v| most.max(f64::from(v).abs()));
    (mean, variance.sqrt(), largest)
}

#[test]
fn lecun_normal_has_its_variance_after_the_cut() {
    let (mean, deviation, largest) = statistics(&draw(1, "weight", init::lecun_normal(250)));
    let scale = 250f64.sqrt();
    assert!((mean * scale).abs() < 0.015, "{mean}");
    assert!((deviation * scale - 1.).abs() < 0.01, "{deviation}");
    // The cut is at two deviations of the normal distribution before it.
    assert!((2.27..=2.273_69).contains(&(largest * scale)), "{largest}");
}

#[test]
fn truncated_normal_is_not_corrected() {
    let (_, deviation, largest) = statistics(&draw(1, "weight", init::truncated_normal(0.02)));
    assert!((deviation - 0.017_59).abs() < 2e-4, "{deviation}");
    assert!((0.0399..=0.040_001).contains(&largest), "{largest}");
}

#[test]
fn hints_of_candle_mean_what_they_mean_there() {
    let gain = (2f64 / 250.).sqrt();
    let (mean, deviation, largest) = statistics(&draw(1, "weight", DEFAULT_KAIMING_NORMAL));
    assert!(
        mean.abs() < 0.001 && (deviation / gain - 1.).abs() < 0.01,
        "{mean} {deviation}"
    );
    assert!(largest / gain > 3.5, "cut at {largest}");
    let (mean, deviation, largest) = statistics(&draw(1, "weight", DEFAULT_KAIMING_UNIFORM));
    assert!(
        mean.abs() < 0.001 && (deviation / gain - 1.).abs() < 0.01,
        "{mean} {deviation}"
    );
    assert!((largest / gain - 3f64.sqrt()).abs() < 0.001, "{largest}");
    let (mean, _, _) = statistics(&draw(1, "weight", Init::Uniform { lo: 2., up: 4. }));
    assert!((mean - 3.).abs() < 0.01, "{mean}");
    assert!(
        draw(1, "weight", Init::Const(2.5))
            .iter()
            .all(|&v| v == 2.5)
    );
}

#[test]
fn the_seed_and_the_name_decide_not_the_order() {
    let hint = init::lecun_normal(250);
    let first = draw(1, "a", hint);
    assert_eq!(first, draw(1, "a", hint));
    assert_ne!(first, draw(2, "a", hint));
    assert_ne!(first, draw(1, "b", hint));

    let parameters = Parameters::new(1, DType::F64, &Device::Cpu);
    let vb = parameters.var_builder();
    vb.get_with_hints((400, 250), "b", hint).unwrap();
    let later = vb.get_with_hints((400, 250), "a", hint).unwrap();
    let later = later.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
    assert_eq!(later.to_vec1::<f32>().unwrap(), first);
}

#[test]
fn a_network_starts_as_in_flax() {
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let cfg = UnetrConfig {
        hidden_size: 96,
        mlp_size: 192,
        feature_size: 16,
        ..UnetrConfig::tiny()
    };
    Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let values = |name: &str| -> Vec<f32> {
        let var = parameters.get(name).unwrap_or_else(|| panic!("no {name}"));
        Tensor::flatten_all(&var).unwrap().to_vec1().unwrap()
    };
    // [fan-in; Flax counts every tap of a transposed convolution]
    for (name, fan_in) in [
        ("vit.patch_embedding.patch_embeddings.weight", 16 * 16 * 3),
        ("vit.blocks.0.attn.qkv.weight", 96),
        ("vit.blocks.1.attn.out_proj.weight", 96),
        ("vit.blocks.2.mlp.linear2.weight", 192),
        ("encoder4.transp_conv_init.conv.weight", 2 * 2 * 96),
        ("encoder2.blocks.0.1.conv1.conv.weight", 3 * 3 * 32),
        ("decoder5.conv_block.conv3.conv.weight", 256),
    ] {
        let (_, deviation, largest) = statistics(&values(name));
        let scale = (fan_in as f64).sqrt();
        assert!(
            (deviation * scale - 1.).abs() < 0.05,
            "{name}: {}",
            deviation * scale
        );
        assert!(largest * scale <= 2.273_69, "{name}: {}", largest * scale);
    }
    let (_, deviation, largest) = statistics(&values("vit.patch_embedding.position_embeddings"));
    assert!(
        (deviation - 0.017_59).abs() < 1e-3 && largest <= 0.040_001,
        "{deviation} {largest}"
    );
    for (name, constant) in [
        ("vit.norm.weight", 1.),
        ("vit.blocks.0.attn.qkv.bias", 0.),
        ("encoder1.layer.norm2.weight", 1.),
        ("encoder1.layer.norm2.bias", 0.),
        ("decoder2.transp_conv.conv.bias", 0.),
        ("out.conv.conv.bias", 0.),
    ] {
        assert!(values(name).iter().all(|&v| v == constant), "{name}");
    }
}
