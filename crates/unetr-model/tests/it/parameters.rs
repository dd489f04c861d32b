use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use unetr_model::{Error, Mode, NormConfig, Parameters, Unetr, UnetrConfig};

use crate::fixture;

fn build(cfg: &UnetrConfig, seed: u64) -> Parameters {
    let parameters = Parameters::new(seed, DType::F32, &Device::Cpu);
    Unetr::new(cfg, parameters.var_builder()).unwrap();
    parameters
}

fn values(parameters: &Parameters) -> Vec<(String, Vec<f32>)> {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    parameters
        .variables()
        .iter()
        .map(|(name, var)| (name.clone(), values(var)))
        .collect()
}

#[test]
fn the_tutorials_network_has_its_number_of_parameters() {
    assert_eq!(build(&UnetrConfig::tutorial(), 0).count(), 87_739_235);
}

/// Saved weights depend on these names and shapes: they do not change.
#[test]
fn names_and_shapes_are_frozen() {
    let parameters = build(
        &UnetrConfig {
            norm: NormConfig::BATCH_FLAX,
            ..UnetrConfig::tiny()
        },
        0,
    );
    let lines: Vec<String> = parameters
        .variables()
        .iter()
        .map(|(name, var)| format!("{name} {:?}", var.dims()))
        .collect();
    let frozen: Vec<&str> = include_str!("../parameters_tiny_batch_norm.txt")
        .lines()
        .collect();
    assert_eq!(lines, frozen, "now:\n{}", lines.join("\n"));
}

#[test]
fn buffers_are_saved_but_not_trained() {
    let cfg = UnetrConfig {
        norm: NormConfig::BATCH_FLAX,
        ..UnetrConfig::tiny()
    };
    let parameters = build(&cfg, 0);
    let trainable: Vec<String> = parameters
        .trainable()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let (buffers, others): (Vec<_>, Vec<_>) = parameters
        .names()
        .into_iter()
        .partition(|name| name.contains("running_"));
    assert_eq!(trainable, others);
    assert_eq!(
        buffers.len(),
        2 * others
            .iter()
            .filter(|name| name.contains("norm")
                && name.ends_with("weight")
                && !name.starts_with("vit"))
            .count()
    );
    assert_eq!(parameters.count(), build(&UnetrConfig::tiny(), 0).count());
}

#[test]
fn saved_values_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let cfg = UnetrConfig {
        norm: NormConfig::BATCH_FLAX,
        ..UnetrConfig::tiny()
    };
    let saved = build(&cfg, 1);
    saved.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    saved.save(&path).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        bytes,
        "the order in the file is not fixed"
    );

    let loaded = build(&cfg, 2);
    assert_ne!(values(&loaded), values(&saved));
    let report = loaded.load_strict(&path).unwrap();
    assert!(report.is_exact() && report.ignored.is_empty());
    assert_eq!(values(&loaded), values(&saved));
}

#[test]
fn running_statistics_of_frozen_modules_are_those_that_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let cfg = UnetrConfig {
        norm: NormConfig::BATCH_PYTORCH,
        ..UnetrConfig::tiny()
    };
    let frozen = |seed| {
        let parameters = Parameters::new(seed, DType::F32, &Device::Cpu);
        parameters.freeze(|name| name.starts_with("decoder5"));
        let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
        (parameters, model)
    };
    let [height, width] = cfg.image_size;
    let images = Tensor::randn(0f32, 1., (2, 3, height, width), &Device::Cpu).unwrap();
    let scores = |model: &Unetr| {
        let scores = model.forward(&images, Mode::Eval).unwrap();
        scores.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let (trained, model) = frozen(1);
    model.forward(&images, Mode::Train { seed: 0 }).unwrap();
    trained.save(&path).unwrap();
    let (loaded, same) = frozen(2);
    loaded.load_strict(&path).unwrap();
    assert_eq!(scores(&same), scores(&model));
    // The statistics have moved.
    let first = values(&trained).into_iter();
    let mut statistics =
        first.filter(|(name, _)| name.starts_with("decoder5") && name.ends_with("running_mean"));
    assert!(statistics.all(|(_, values)| values.iter().any(|value| *value != 0.)));
}

#[test]
fn a_module_may_have_a_name_that_other_libraries_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let attention = |parameters: &Parameters| {
        let vb = parameters.var_builder().pp("cross_attn");
        candle_nn::linear(3, 2, vb).unwrap();
    };
    let build = |seed| {
        let parameters = Parameters::new(seed, DType::F32, &Device::Cpu);
        attention(&parameters);
        parameters
    };
    let saved = build(1);
    saved.save(&path).unwrap();
    let loaded = build(2);
    assert!(loaded.load_strict(&path).unwrap().ignored.is_empty());
    assert_eq!(values(&loaded), values(&saved));
    let opened = Parameters::open(&path, DType::F32, &Device::Cpu).unwrap();
    attention(&opened);
    assert_eq!(values(&opened), values(&saved));
    // A network without it leaves it alone.
    let opened = Parameters::open(&path, DType::F32, &Device::Cpu).unwrap();
    assert!(opened.unused().is_empty());
    let other = Parameters::new(0, DType::F32, &Device::Cpu);
    let report = other.load_strict(&path).unwrap();
    assert_eq!(report.ignored, ["cross_attn.bias", "cross_attn.weight"]);
}

#[test]
fn a_tensor_beside_them_does_not_hide_those_of_a_checkpoint() {
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    candle_nn::linear(2, 2, parameters.var_builder()).unwrap();
    let report = parameters.load_strict(fixture::file("nested.pth")).unwrap();
    assert_eq!(report.loaded, 2);
    let sum: f32 = values(&parameters)
        .iter()
        .flat_map(|(_, values)| values)
        .sum();
    assert_eq!(sum, 17.);
}

#[test]
fn half_precision_is_converted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let saved = build(&UnetrConfig::tiny(), 1);
    let half: HashMap<String, Tensor> = saved
        .variables()
        .into_iter()
        .zip([DType::F16, DType::BF16, DType::F64].into_iter().cycle())
        .map(|((name, var), dtype)| (name, var.to_dtype(dtype).unwrap()))
        .collect();
    candle_core::safetensors::save(&half, &path).unwrap();
    let loaded = build(&UnetrConfig::tiny(), 2);
    loaded.load_strict(&path).unwrap();
    for ((name, loaded), (_, saved)) in values(&loaded).into_iter().zip(values(&saved)) {
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= b.abs() / 128. + 1e-6;
        assert!(loaded.iter().zip(&saved).all(close), "{name}");
    }
}

#[test]
fn a_report_says_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let of_two = build(
        &UnetrConfig {
            classes: 2,
            ..UnetrConfig::tiny()
        },
        1,
    );
    let mut tensors: HashMap<String, Tensor> = of_two
        .variables()
        .into_iter()
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    tensors.remove("vit.norm.bias");
    let extra = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    tensors.insert("head.bias".into(), extra.clone());
    tensors.insert("vit.blocks.0.norm_cross_attn.bias".into(), extra.clone());
    tensors.insert("vit.blocks.0.cross_attn.to_q.weight".into(), extra);
    let tracked = Tensor::new(5i64, &Device::Cpu).unwrap();
    tensors.insert("encoder1.layer.norm1.num_batches_tracked".into(), tracked);
    candle_core::safetensors::save(&tensors, &path).unwrap();

    let parameters = build(&UnetrConfig::tiny(), 2);
    let before = values(&parameters);
    let error = parameters.load_strict(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: 1 missing (vit.norm.bias), 1 unexpected (head.bias), 2 of another shape \
             (out.conv.conv.bias [2] instead of [3], \
             out.conv.conv.weight [2, 4, 1, 1] instead of [3, 4, 1, 1]); \
             the configuration differs from the one of the weights",
            path.display()
        )
    );
    assert_eq!(
        values(&parameters),
        before,
        "a strict load that fails changes nothing"
    );

    let report = parameters.load(&path).unwrap();
    assert_eq!(report.missing, ["vit.norm.bias"]);
    assert_eq!(report.unexpected, ["head.bias"]);
    assert_eq!(report.mismatched.len(), 2);
    assert_eq!(report.mismatched[0].found, [2]);
    assert_eq!(
        report.ignored,
        [
            "encoder1.layer.norm1.num_batches_tracked",
            "vit.blocks.0.cross_attn.to_q.weight",
            "vit.blocks.0.norm_cross_attn.bias"
        ]
    );
    let taken = parameters.get("vit.norm.weight").unwrap();
    assert_eq!(taken.to_vec1::<f32>().unwrap(), [1.; 32]);
}

#[test]
fn hostile_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let parameters = build(&UnetrConfig::tiny(), 0);
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let name = "vit.norm.bias";
    let huge = format!(
        r#"{{"{name}":{{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}}}"#
    );
    let outside = format!(r#"{{"{name}":{{"dtype":"F32","shape":[32],"data_offsets":[0,128]}}}}"#);
    let integers = format!(r#"{{"{name}":{{"dtype":"I16","shape":[0],"data_offsets":[0,0]}}}}"#);
    let cases: [&[u8]; 8] = [
        b"",
        b"\0\0\0",
        &[255; 64],
        &header("{}}"),
        &header("[]"),
        &header(&huge),
        &header(&outside),
        &header(&integers),
    ];
    for bytes in cases {
        std::fs::write(&path, bytes).unwrap();
        let error = parameters.load(&path).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        if let Error::File { source, .. } = error {
            assert_eq!(
                source.to_string(),
                "parameter vit.norm.bias is of type I16, expected f16, bf16, f32 or f64"
            );
        } else {
            assert!(matches!(error, Error::Safetensors { .. }), "{message}");
        }
    }
    let error = parameters.load(folder.path().join("absent")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
}

#[test]
fn a_builder_gives_the_same_variable_twice_and_checks_it() {
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let vb = parameters.var_builder().pp("a");
    let first = vb.get((2, 3), "w").unwrap();
    assert!(vb.get((2, 3), "w").unwrap().id() == first.id());
    assert!(vb.contains_tensor("w") && !vb.contains_tensor("v"));
    assert_eq!(vb.get_unchecked("w").unwrap().dims(), [2, 3]);
    let error = vb.get((3, 2), "w").unwrap_err().to_string();
    assert!(
        error.starts_with("parameter a.w has shape [2, 3], expected [3, 2]"),
        "{error}"
    );
    let error = vb
        .to_dtype(DType::F64)
        .get((2, 3), "w")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("parameter a.w is of type f32, expected f64"),
        "{error}"
    );
    assert!(vb.to_dtype(DType::U32).get(1, "v").is_err());
    assert!(vb.get_unchecked("v").is_err());
}
