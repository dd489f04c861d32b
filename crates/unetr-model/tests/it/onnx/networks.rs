//! Every choice of a configuration gives the same logits as the network itself.

use unetr_model::{
    BlockKind, Gelu, Mode, NormConfig, OnnxConfig, PatchProjection, UnetrConfig, Upsampling,
};

use super::{export, images, interpreter, random};
use crate::fixture::assert_close;

fn small() -> UnetrConfig {
    UnetrConfig {
        feature_size: 4,
        hidden_size: 12,
        mlp_size: 20,
        heads: 3,
        ..UnetrConfig::tiny().with_image_size([32, 32])
    }
}

/// In f64 nothing is left but that the attributes and constants of the graph are f32.
fn check(cfg: &UnetrConfig) {
    let (model, parameters) = random(cfg);
    let onnx = export(&model, &parameters, &OnnxConfig::default());
    let graph = onnx.graph.unwrap();
    let images = images(cfg);
    let expected = model.forward(&images, Mode::Eval).unwrap();
    let found = interpreter::run(&graph, &images);
    assert_close("logits", &found, &expected, 1e-6);

    let stored = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let mut stored: Vec<&str> = stored.filter(|name| !name.contains('/')).collect();
    let mut names = parameters.names();
    names.retain(|name| !name.starts_with("auxiliary_heads"));
    stored.sort_unstable();
    names.sort_unstable();
    assert_eq!(stored, names);
}

#[test]
fn presets() {
    check(&UnetrConfig::tiny());
    check(&UnetrConfig {
        feature_size: 2,
        hidden_size: 12,
        mlp_size: 16,
        heads: 3,
        ..UnetrConfig::monai(1, 5, [32, 48])
    });
}

#[test]
fn image_sizes_channels_and_layers() {
    check(&small().with_image_size([16, 80]));
    check(&UnetrConfig {
        // As many as features: the first shortcut is the identity.
        in_channels: 4,
        classes: 1,
        layers: 7,
        ..small()
    });
}

#[test]
fn options_of_the_transformer() {
    check(&UnetrConfig {
        patch_projection: PatchProjection::Perceptron,
        ..small().with_image_size([48, 32])
    });
    check(&UnetrConfig {
        qkv_bias: false,
        gelu: Gelu::Erf,
        layer_norm_eps: 0.1,
        ..small()
    });
    check(&UnetrConfig {
        layer_scale: Some(0.1),
        auxiliary_heads: true,
        stochastic_depth: 0.5,
        dropout: 0.5,
        projection_dropout: 0.5,
        ..small()
    });
}

#[test]
fn normalisations() {
    let instance = |affine| NormConfig::Instance { affine, eps: 0.1 };
    let group = |groups| NormConfig::Group { groups, eps: 0.1 };
    let norms = [
        instance(true),
        instance(false),
        group(1),
        group(2),
        NormConfig::BATCH_PYTORCH,
    ];
    for norm in norms {
        for block in [BlockKind::Residual, BlockKind::Basic] {
            check(&UnetrConfig {
                norm,
                block,
                ..small()
            });
        }
    }
}

#[test]
fn options_of_the_decoder() {
    for upsampling in [Upsampling::WithBlocks, Upsampling::TransposedOnly] {
        check(&UnetrConfig {
            upsampling,
            transposed_bias: false,
            leaky_slope: 0.2,
            block: BlockKind::Basic,
            ..small()
        });
    }
    check(&UnetrConfig {
        upsampling: Upsampling::TransposedOnly,
        leaky_slope: 0.3,
        ..small()
    });
}
