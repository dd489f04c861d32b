//! The whole network with MONAI's own weights, which load under their own names.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use unetr_model::{
    BlockKind, Error, Gelu, Mode, NormConfig, Parameters, PatchProjection, Unetr, UnetrConfig,
    Upsampling, monai,
};

use crate::fixture::{assert_close, distance, file, path};

fn config() -> UnetrConfig {
    UnetrConfig {
        feature_size: 2,
        hidden_size: 12,
        mlp_size: 16,
        heads: 3,
        ..UnetrConfig::monai(3, 3, [32, 32])
    }
}

fn check(name: &str, cfg: &UnetrConfig, ignored: &str) {
    check_export(name, cfg);
    let io = candle_core::safetensors::load(path(&format!("{name}_io")), &Device::Cpu).unwrap();
    for dtype in [DType::F32, DType::F64] {
        let parameters = Parameters::new(0, dtype, &Device::Cpu);
        let model = Unetr::new(cfg, parameters.var_builder()).unwrap();
        let report = parameters.load_strict(path(name)).unwrap();
        assert!(
            report.ignored.iter().any(|name| name.contains(ignored)),
            "{report:?}"
        );

        let get = |key: &str| io[key].to_dtype(dtype).unwrap();
        let images = Var::from_tensor(&get("in/x")).unwrap();
        let logits = model.forward(&images, Mode::Eval).unwrap();
        assert_close(
            name,
            &logits,
            &io["x64/out/y"],
            if dtype == DType::F32 { 1e-5 } else { 1e-6 },
        );
        let scalar: Tensor = (logits * get("cot/y")).unwrap().sum_all().unwrap();
        let gradients = scalar.backward().unwrap();
        // MONAI's gradients are f32, 5e-6 from f64.
        assert_close(
            name,
            gradients.get(&images).unwrap(),
            &io["grad/in/x"],
            1e-5,
        );
    }
}

/// The configuration follows from the file and the file from the network.
fn check_export(name: &str, cfg: &UnetrConfig) {
    let found = monai::config(path(name), cfg.image_size, cfg.heads).unwrap();
    // What the file does not tell.
    let norm = match (found.norm, cfg.norm) {
        (NormConfig::Instance { affine: true, .. }, norm) => norm,
        (norm, _) => norm,
    };
    assert_eq!(&UnetrConfig { norm, ..found }, cfg);

    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    Unetr::new(cfg, parameters.var_builder()).unwrap();
    parameters.load_strict(path(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let exported = folder.path().join("exported.safetensors");
    monai::save(cfg, &parameters, &exported).unwrap();
    let load = |path| candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let (exported, file) = (load(exported), load(path(name)));
    let names = |tensors: &HashMap<String, Tensor>| {
        let mut names: Vec<_> = tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.dims().to_vec(), tensor.dtype()))
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names
    };
    assert_eq!(names(&exported), names(&file));
    for (name, tensor) in exported {
        if parameters.get(&name).is_some() {
            assert_eq!(distance(&tensor, &file[&name]), 0., "{name}");
        }
    }
}

#[test]
fn default() {
    check("monai2d_default", &config(), "norm_cross_attn");
}

#[test]
fn affine_and_qkv_bias() {
    let cfg = UnetrConfig {
        norm: NormConfig::INSTANCE,
        qkv_bias: true,
        ..config()
    };
    check("monai2d_affine_qkvbias", &cfg, "norm_cross_attn");
}

#[test]
fn batch_norm_and_perceptron() {
    let cfg = UnetrConfig {
        norm: NormConfig::BATCH_PYTORCH,
        patch_projection: PatchProjection::Perceptron,
        ..config()
    };
    check("monai2d_batch_perceptron", &cfg, "num_batches_tracked");
}

#[test]
fn basic_blocks() {
    let cfg = UnetrConfig {
        block: BlockKind::Basic,
        upsampling: Upsampling::TransposedOnly,
        ..config()
    };
    check("monai2d_noconv_nores", &cfg, "norm_cross_attn");
}

#[test]
fn either_kind_of_block_alone() {
    let cfg = UnetrConfig {
        block: BlockKind::Basic,
        ..config()
    };
    check("monai2d_conv_only", &cfg, "norm_cross_attn");
    let cfg = UnetrConfig {
        upsampling: Upsampling::TransposedOnly,
        ..config()
    };
    check("monai2d_res_only", &cfg, "norm_cross_attn");
}

#[test]
fn settings_that_monai_has_not_are_all_named() {
    let cfg = UnetrConfig {
        gelu: Gelu::Tanh,
        layer_norm_eps: 1e-6,
        layer_scale: Some(0.1),
        layers: 8,
        leaky_slope: 0.2,
        transposed_bias: true,
        ..config()
    };
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let error = monai::state_dict(&cfg, &parameters).unwrap_err();
    assert_eq!(
        error.to_string(),
        "MONAI's UNETR cannot have layers 8 (only 12), gelu Tanh (only Erf), layer_norm_eps 1e-6 (only 1e-5), \
         layer_scale 0.1 (only none), leaky_slope 0.2 (only 0.01), transposed_bias true (only false); export a \
         network that was trained from `UnetrConfig::monai`"
    );
    assert!(matches!(error, Error::MonaiSettings { settings } if settings.len() == 6));
}

#[test]
fn what_only_training_takes_is_left_out() {
    let cfg = UnetrConfig {
        auxiliary_heads: true,
        stochastic_depth: 0.1,
        projection_dropout: 0.1,
        ..config()
    };
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    Unetr::new(&cfg, parameters.var_builder()).unwrap();
    assert!(parameters.get("auxiliary_heads.0.weight").is_some());
    let tensors = monai::state_dict(&cfg, &parameters).unwrap();
    assert!(!tensors.keys().any(|name| name.contains("auxiliary")));
    assert_eq!(tensors.len(), 194);
}

#[test]
fn the_constructor_has_every_option() {
    let cfg = UnetrConfig {
        norm: NormConfig::BATCH_PYTORCH,
        patch_projection: PatchProjection::Perceptron,
        block: BlockKind::Basic,
        upsampling: Upsampling::TransposedOnly,
        qkv_bias: true,
        ..config().with_image_size([32, 48])
    };
    assert_eq!(
        monai::constructor(&cfg).unwrap(),
        "UNETR(in_channels=3, out_channels=3, img_size=(32, 48), feature_size=2, hidden_size=12, mlp_dim=16, \
         num_heads=3, proj_type=\"perceptron\", norm_name=(\"batch\", {\"eps\": 1e-5, \"momentum\": 0.1}), \
         conv_block=False, res_block=False, dropout_rate=0.0, spatial_dims=2, qkv_bias=True)"
    );
}

#[test]
fn a_checkpoint_without_a_configuration_becomes_a_network() {
    let weights = file("monai2d_default.pth");
    let cfg = monai::config(&weights, [32, 32], 3).unwrap();
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    parameters.load_strict(&weights).unwrap();
    let io = candle_core::safetensors::load(path("monai2d_default_io"), &Device::Cpu).unwrap();
    let logits = model.forward(&io["in/x"], Mode::Eval).unwrap();
    assert_close("logits", &logits, &io["x64/out/y"], 1e-5);
}

#[test]
fn what_does_not_fit_a_checkpoint_is_said() {
    let weights = file("monai2d_default.pth");
    let error = |result: Result<UnetrConfig, Error>| result.unwrap_err().to_string();
    let size = error(monai::config(&weights, [32, 48], 3));
    assert!(
        size.ends_with(
            "monai2d_default.pth: position embeddings of 4 patches, expected 6 for images of 32x48 pixels; give the \
             image size of the training"
        ),
        "{size}"
    );
    let heads = error(monai::config(&weights, [32, 32], 5));
    assert!(
        heads.contains("hidden size 12 is not divisible by 5 heads"),
        "{heads}"
    );
    let other = error(monai::config(file("vit_timm.pth"), [32, 32], 3));
    assert!(
        other.contains(
            "vit_timm.pth: `encoder1.layer.conv1.conv.weight` is missing, expected 4 dimensions"
        ),
        "{other}"
    );
    let volume = Tensor::zeros((2, 1, 3, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let volume = HashMap::from([("encoder1.layer.conv1.conv.weight".to_owned(), volume)]);
    let volume = error(monai::config_of(&volume, [32, 32], 3));
    assert!(
        volume.contains("has shape [2, 1, 3, 3, 3], expected 4 dimensions"),
        "{volume}"
    );
}

/// As MONAI up to 0.8 has them.
#[test]
fn names_of_old_versions_are_passed_over_and_reported() {
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    Unetr::new(&config(), parameters.var_builder()).unwrap();
    let mut tensors: HashMap<String, Tensor> = parameters
        .variables()
        .into_iter()
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    let old = [
        "encoder2.blocks.1.1.conv3.conv.weight",
        "encoder3.blocks.0.1.norm3.bias",
        "vit.patch_embedding.cls_token",
    ];
    let nothing = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    tensors.extend(old.map(|name| (name.to_owned(), nothing.clone())));
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("old.safetensors");
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    assert_eq!(parameters.load_strict(&weights).unwrap().ignored, old);
    // A convolution of the same name that a network does have.
    tensors.remove("decoder5.conv_block.conv3.conv.weight");
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    let error = parameters.load_strict(&weights).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 missing (decoder5.conv_block.conv3"),
        "{error}"
    );
}
