//! The whole network with MONAI's own weights, which load under their own names.

use candle_core::{DType, Device, Tensor, Var};
use unetr_model::{
    BlockKind, Mode, NormConfig, Parameters, PatchProjection, Unetr, UnetrConfig, Upsampling,
};

use crate::fixture::{assert_close, path};

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
