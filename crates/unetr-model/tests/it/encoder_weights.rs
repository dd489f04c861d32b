//! Encoders of timm and transformers; `tests/fixtures/gen_vit_encoders.py` made the values.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use unetr_model::{
    EncoderReport, EncoderWeights, Error, Gelu, Mode, Parameters, Unetr, UnetrConfig, Vit,
};

use crate::fixture::{assert_close, file, path};

fn base() -> UnetrConfig {
    UnetrConfig {
        heads: 2,
        feature_size: 2,
        ..UnetrConfig::tutorial().with_image_size([48, 80])
    }
}

/// Loads an encoder with two heads and compares what its blocks give.
fn check(weights: &str, io: &str) -> EncoderReport {
    check_with_heads(weights, io, 2)
}

fn check_with_heads(weights: &str, io: &str, heads: usize) -> EncoderReport {
    let weights = EncoderWeights::open(file(weights)).unwrap();
    let cfg = weights.config(&base()).unwrap();
    assert_eq!(
        (cfg.hidden_size, cfg.layers, cfg.heads, cfg.patch_size),
        (16, 4, heads, 16)
    );
    let load = |name: &str| candle_core::safetensors::load(path(name), &Device::Cpu).unwrap();
    let (images, expected) = (load("vit_images"), load(io));
    let mut reports = Vec::new();
    for (dtype, bound) in [(DType::F64, 1e-6), (DType::F32, 1e-4)] {
        let parameters = Parameters::new(0, dtype, &Device::Cpu);
        Unetr::new(&cfg, parameters.var_builder()).unwrap();
        let report = weights.assign_to(&parameters, &cfg).unwrap();
        assert_eq!((report.side, report.grid), (4, [3, 5]));
        let vit = Vit::new(&cfg.vit(), parameters.var_builder().pp("vit")).unwrap();
        let images = images["images"].to_dtype(dtype).unwrap();
        let output = vit.forward(&images, Mode::Eval).unwrap();
        for (i, state) in output.hidden_states.iter().enumerate() {
            let expected = &expected[&format!("hidden/{i}")];
            assert_close(&format!("block {i}"), state, expected, bound);
        }
        assert_close("normed", &output.normed, &expected["normed"], bound);
        reports.push(report);
    }
    assert_eq!(reports[0], reports[1]);
    reports.remove(0)
}

#[test]
fn timm() {
    let left_out = check("vit_timm.pth", "vit_timm_io").left_out;
    assert_eq!(left_out, ["cls_token", "head.bias", "head.weight"]);
}

#[test]
fn deit_with_a_distillation_token() {
    let left_out = check("vit_timm_deit.pth", "vit_timm_deit_io").left_out;
    assert_eq!(left_out.len(), 6, "{left_out:?}");
    assert!(left_out.contains(&"dist_token".to_owned()));
}

#[test]
fn transformers() {
    let left_out = check("vit_transformers.safetensors", "vit_transformers_io").left_out;
    assert_eq!(
        left_out,
        [
            "classifier.bias",
            "classifier.weight",
            "vit.embeddings.cls_token"
        ]
    );
}

#[test]
fn dinov2_with_layer_scale() {
    let left_out = check("vit_dinov2.safetensors", "vit_dinov2_io").left_out;
    assert_eq!(left_out, ["embeddings.cls_token", "embeddings.mask_token"]);
}

#[test]
fn dinov2_with_patches_of_14_pixels() {
    let report = check("vit_dinov2_14.safetensors", "vit_dinov2_14_io");
    assert_eq!((report.patch_side, report.patch_size), (14, 16));
    let said = report.to_string();
    assert!(
        said.contains(", patch embedding resampled from 14x14 to 16x16 pixels,"),
        "{said}"
    );
}

#[test]
fn a_teacher_of_dino_beside_its_student() {
    let report = check("vit_dino.pth", "vit_dino_io");
    assert!(
        report.left_out.contains(&"backbone.cls_token".to_owned()),
        "{report}"
    );
}

#[test]
fn deit_of_transformers_with_a_distillation_token() {
    let left_out = check("vit_hf_deit.safetensors", "vit_hf_deit_io").left_out;
    assert!(left_out.contains(&"embeddings.distillation_token".to_owned()));
}

#[test]
fn a_masked_autoencoder_without_its_decoder() {
    let left_out = check("vit_hf_mae.safetensors", "vit_hf_mae_io").left_out;
    let of_decoder = |name: &&String| name.starts_with("decoder.");
    let decoder = left_out.iter().filter(of_decoder).count();
    assert_eq!(decoder + 1, left_out.len(), "{left_out:?}");
}

#[test]
fn no_biases_of_queries_keys_and_values() {
    check("vit_timm_no_bias.pth", "vit_timm_no_bias_io");
    let weights = EncoderWeights::open(file("vit_timm_no_bias.pth")).unwrap();
    assert!(!weights.config(&base()).unwrap().qkv_bias);
}

/// Heads, and an epsilon or a GELU that is not the usual one of the library.
#[test]
fn the_configuration_beside_the_weights_tells_what_they_do_not() {
    let other = UnetrConfig { heads: 8, ..base() };
    for (name, heads, eps, gelu) in [
        ("vit_hf_vit", 4, 1e-6, Gelu::Erf),
        ("vit_hf_vit_tanh", 2, 1e-12, Gelu::Tanh),
    ] {
        let weights = format!("{name}/model.safetensors");
        check_with_heads(&weights, &format!("{name}_io"), heads);
        let cfg = EncoderWeights::open(file(&weights)).unwrap();
        let cfg = cfg.config(&other).unwrap();
        let found = (cfg.heads, cfg.layer_norm_eps, cfg.gelu);
        assert_eq!(found, (heads, eps, gelu), "{name}");
    }
}

#[test]
fn widths_of_known_networks_tell_their_heads() {
    for (hidden, heads) in [
        (16, 2),
        (64, 1),
        (384, 6),
        (768, 12),
        (1280, 16),
        (1152, 16),
        (1408, 16),
        (1664, 16),
    ] {
        let (_folder, path) = changed(|tensors| {
            for (name, tensor) in tensors.iter_mut() {
                let dims = tensor.dims().iter().map(|&size| match size {
                    16 if !name.starts_with("patch_embed") => hidden,
                    48 => 3 * hidden,
                    size => size,
                });
                let mut dims: Vec<usize> = dims.collect();
                if name.starts_with("patch_embed") {
                    dims[0] = hidden;
                }
                *tensor = Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
            }
            // The class token and 16 patches.
            let positions = Tensor::zeros((1, 17, hidden), DType::F32, &Device::Cpu);
            tensors.insert("pos_embed".to_owned(), positions.unwrap());
        });
        let weights = EncoderWeights::open(path).unwrap();
        assert_eq!(weights.config(&base()).unwrap().heads, heads, "{hidden}");
    }
}

#[test]
fn networks_that_compute_something_else_are_refused() {
    for (weights, name) in [
        (
            "vit_timm_qk_norm.pth",
            "no place for `blocks.0.attn.k_norm.bias` (4 such",
        ),
        (
            "vit_timm_pre_norm.pth",
            "no place for `norm_pre.bias` (2 such",
        ),
    ] {
        let error = EncoderWeights::open(file(weights)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(weights), "{error}");
    }
    let (folder, path) = changed(|_| {});
    let config = folder.path().join("config.json");
    std::fs::write(config, r#"{"hidden_act": "silu"}"#).unwrap();
    let error = EncoderWeights::open(path).unwrap_err().to_string();
    assert!(
        error.contains("activation `silu`, expected `gelu`"),
        "{error}"
    );
}

#[test]
fn settings_of_another_network_are_refused() {
    let (folder, path) = changed(|_| {});
    let config = folder.path().join("config.json");
    std::fs::write(config, r#"{"hidden_size": 768, "num_attention_heads": 12}"#).unwrap();
    let weights = EncoderWeights::open(path).unwrap();
    let error = weights.config(&base()).unwrap_err().to_string();
    assert!(
        error.contains("is for a hidden size of 768, the weights have 16; move the weights"),
        "{error}"
    );
}

#[test]
fn parameters_that_the_network_lacks_are_refused_or_left_out() {
    let weights = EncoderWeights::open(file("vit_dinov2.safetensors")).unwrap();
    let fits = weights.config(&base()).unwrap();
    let cfg = UnetrConfig {
        layer_scale: None,
        ..fits
    };
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let error = weights
        .assign_to(&parameters, &cfg)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the network has no vit.blocks.0.ls1.gamma, which"),
        "{error}"
    );
    let report = weights.assign_matching(&parameters, &cfg).unwrap();
    assert!(
        report
            .left_out
            .contains(&"vit.blocks.3.ls2.gamma".to_owned()),
        "{report}"
    );
}

#[test]
fn weights_of_two_networks_are_refused_unless_one_is_the_teacher() {
    let doubled = |prefixes: [&str; 2]| {
        changed(|tensors| {
            let both = tensors.drain().flat_map(|(name, tensor)| {
                let other = tensor.affine(2., 0.).unwrap();
                [
                    (format!("{}{name}", prefixes[0]), tensor),
                    (format!("{}{name}", prefixes[1]), other),
                ]
            });
            *tensors = both.collect::<Vec<_>>().into_iter().collect();
        })
    };
    let (_folder, path) = doubled(["teacher.backbone.", "student.backbone."]);
    let report = check(path.to_str().unwrap(), "vit_timm_io");
    assert!(report.to_string().contains(" more"), "{report}");
    let (_folder, path) = doubled(["model.", "module."]);
    let error = EncoderWeights::open(path).unwrap_err().to_string();
    assert!(
        error.contains("is there twice, below different prefixes"),
        "{error}"
    );
}

#[test]
fn what_fits_can_be_set_alone() {
    let weights = EncoderWeights::open(file("vit_timm.pth")).unwrap();
    let fits = weights.config(&base()).unwrap();
    let cfg = UnetrConfig {
        layers: 5,
        mlp_size: 32,
        ..fits.clone()
    };
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let report = weights.assign_matching(&parameters, &cfg).unwrap();
    // The MLP's two matrices and its wider bias of four blocks, and a whole block.
    assert_eq!(report.kept.len(), 4 * 3 + 12, "{:?}", report.kept);
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let shallower = UnetrConfig { layers: 4, ..fits };
    Unetr::new(&shallower, parameters.var_builder()).unwrap();
    let all = weights.assign_matching(&parameters, &shallower).unwrap();
    assert_eq!(all, weights.assign_to(&parameters, &shallower).unwrap());
    assert!(all.kept.is_empty(), "{all}");
}

/// A file of timm's, changed, in a folder.
fn changed(change: impl FnOnce(&mut HashMap<String, Tensor>)) -> (tempfile::TempDir, PathBuf) {
    let pickle = candle_core::pickle::read_all_with_key(file("vit_timm.pth"), Some("state_dict"));
    let mut tensors: HashMap<_, _> = pickle.unwrap().into_iter().collect();
    change(&mut tensors);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    (folder, path)
}

#[test]
fn a_last_norm_that_the_file_lacks_keeps_its_start() {
    let (_folder, path) = changed(|tensors| {
        for leaf in ["weight", "bias"] {
            let norm = tensors.remove(&format!("norm.{leaf}")).unwrap();
            tensors.insert(format!("fc_norm.{leaf}"), norm);
        }
    });
    let weights = EncoderWeights::open(path).unwrap();
    let cfg = weights.config(&base()).unwrap();
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let report = weights.assign_to(&parameters, &cfg).unwrap();
    assert_eq!(report.kept, ["vit.norm.bias", "vit.norm.weight"]);
    assert!(
        report
            .to_string()
            .contains(", kept: vit.norm.bias, vit.norm.weight, left out: cls_token, fc_norm"),
        "{report}"
    );
    let values = |name: &str| parameters.get(name).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values("vit.norm.weight"), [1.; 16]);
    assert_eq!(values("vit.norm.bias"), [0.; 16]);
    assert_ne!(values("vit.blocks.0.norm1.bias"), [0.; 16]);
}

#[test]
fn register_tokens_and_their_position_embeddings_are_left_out() {
    let (_folder, path) = changed(|tensors| {
        let registers = Tensor::zeros((1, 4, 16), DType::F32, &Device::Cpu).unwrap();
        let positions = &tensors["pos_embed"];
        let parts = [
            &positions.narrow(1, 0, 1).unwrap(),
            &registers,
            &positions.narrow(1, 1, 16).unwrap(),
        ];
        let positions = Tensor::cat(&parts, 1).unwrap();
        tensors.insert("pos_embed".to_owned(), positions);
        tensors.insert("reg_token".to_owned(), registers);
    });
    let left_out = check(path.to_str().unwrap(), "vit_timm_io").left_out;
    assert_eq!(
        left_out,
        ["cls_token", "head.bias", "head.weight", "reg_token"]
    );
}

#[test]
fn what_a_file_lacks_is_said_with_its_name() {
    let (_folder, path) = changed(|tensors| {
        tensors.remove("blocks.0.mlp.fc1.weight");
    });
    let weights = EncoderWeights::open(path).unwrap();
    let error = weights.config(&base()).unwrap_err().to_string();
    assert!(
        error.contains("changed.safetensors: parameter vit.blocks.0.mlp.linear1.weight is missing"),
        "{error}"
    );
    let (_folder, path) = changed(|tensors| {
        let positions = tensors["pos_embed"].narrow(1, 0, 16).unwrap();
        tensors.insert("pos_embed".to_owned(), positions.narrow(1, 0, 15).unwrap());
    });
    let error = EncoderWeights::open(path).unwrap_err().to_string();
    assert!(
        error.contains("changed.safetensors: 15 position embeddings, expected those of a square"),
        "{error}"
    );
}

#[test]
fn an_encoder_of_another_shape_is_refused_and_changes_nothing() {
    let weights = EncoderWeights::open(file("vit_timm.pth")).unwrap();
    let fits = weights.config(&base()).unwrap();
    let cases = [
        (
            UnetrConfig {
                mlp_size: 32,
                ..fits.clone()
            },
            "mlp.linear1.bias has shape [24], expected [32]",
        ),
        (
            UnetrConfig {
                layers: 5,
                ..fits.clone()
            },
            "vit.blocks.4",
        ),
        (
            UnetrConfig {
                layer_scale: Some(1.),
                ..fits
            },
            "ls1.gamma is missing",
        ),
    ];
    for (cfg, message) in cases {
        let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
        Unetr::new(&cfg, parameters.var_builder()).unwrap();
        let sum = |parameters: &Parameters| -> f32 {
            let sums = parameters.variables().into_iter().map(|(_, var)| {
                let sum: Tensor = var.sum_all().unwrap();
                sum.to_scalar::<f32>().unwrap()
            });
            sums.sum()
        };
        let before = sum(&parameters);
        let error = weights
            .assign_to(&parameters, &cfg)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(message) && error.contains("vit_timm.pth"),
            "{error}"
        );
        assert_eq!(sum(&parameters), before);
    }
}

#[test]
fn what_is_no_encoder_is_refused() {
    let error = EncoderWeights::open(file("monai2d_default.safetensors")).unwrap_err();
    assert!(
        error.to_string().contains("patch_embed.proj.weight"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.pth");
    std::fs::write(&broken, b"no zip").unwrap();
    let error = EncoderWeights::open(&broken).unwrap_err();
    assert!(matches!(error, Error::Pickle { .. }), "{error}");
    let error = EncoderWeights::open(folder.path().join("none.pth")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn a_header_alone_is_no_large_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let open = |mlp: &[usize], positions: &[usize]| {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let tensors = HashMap::from([
            ("patch_embed.proj.weight", zeros(&[32768, 1, 1, 1])),
            ("blocks.0.mlp.fc1.weight", zeros(mlp)),
            ("blocks.32767.norm1.weight", zeros(&[1])),
            ("pos_embed", zeros(positions)),
        ]);
        candle_core::safetensors::save(&tensors, &path).unwrap();
        EncoderWeights::open(&path).and_then(|weights| weights.config(&base()))
    };
    for (mlp, positions, reason) in [
        (
            &[32768, 0][..],
            [1, 1, 1],
            "32769 numbers, and the matrices of 32768 layers",
        ),
        (&[], [1, 1, 1], "first layer of the MLP of shape []"),
        (&[32768, 0], [1, 1, 0], "position embeddings: [1, 1, 0]"),
    ] {
        let error = open(mlp, &positions).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_checkpoint_of_monai_loads_from_its_pickle() {
    let cfg = UnetrConfig {
        feature_size: 2,
        hidden_size: 12,
        mlp_size: 16,
        heads: 3,
        ..UnetrConfig::monai(3, 3, [32, 32])
    };
    let load = |name: &str| {
        let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
        Unetr::new(&cfg, parameters.var_builder()).unwrap();
        let report = parameters.load_strict(file(name)).unwrap();
        assert!(
            report
                .ignored
                .iter()
                .any(|name| name.contains("norm_cross_attn"))
        );
        parameters.variables()
    };
    let (pickle, safe) = (
        load("monai2d_default.pth"),
        load("monai2d_default.safetensors"),
    );
    for ((name, a), (_, b)) in pickle.iter().zip(&safe) {
        assert_close(name, a, b, 0.);
    }
}
