use candle_core::{DType, Device, Tensor};
use unetr_model::{Error, Gelu, Mode, NormConfig, Parameters, Unetr, UnetrConfig, VitConfig};

fn message(cfg: &UnetrConfig) -> String {
    cfg.validate().unwrap_err().to_string()
}

#[test]
fn presets_are_valid_and_survive_json() {
    let presets = [
        UnetrConfig::tutorial(),
        UnetrConfig::monai(1, 2, [96, 160]),
        UnetrConfig::tiny(),
        UnetrConfig::small(),
        UnetrConfig::vit_b16(224),
        UnetrConfig {
            norm: NormConfig::BATCH_PYTORCH,
            stochastic_depth: 0.2,
            layer_scale: Some(1e-5),
            auxiliary_heads: true,
            ..UnetrConfig::tiny()
        },
    ];
    for cfg in presets {
        cfg.validate().unwrap();
        let text = serde_json::to_string(&cfg).unwrap();
        assert_eq!(serde_json::from_str::<UnetrConfig>(&text).unwrap(), cfg);
    }
}

#[test]
fn absent_fields_are_the_tutorials_and_unknown_ones_errors() {
    assert_eq!(
        serde_json::from_str::<UnetrConfig>("{}").unwrap(),
        UnetrConfig::tutorial()
    );
    let cfg: UnetrConfig = serde_json::from_str(r#"{"classes": 7, "gelu": "erf"}"#).unwrap();
    assert_eq!(
        cfg,
        UnetrConfig {
            classes: 7,
            gelu: Gelu::Erf,
            ..UnetrConfig::tutorial()
        }
    );
    let unknown = serde_json::from_str::<UnetrConfig>(r#"{"clases": 7}"#).unwrap_err();
    assert!(
        unknown.to_string().contains("unknown field `clases`"),
        "{unknown}"
    );
    let norm = r#"{"norm": {"instance": {"affine": true, "eps": 1e-6, "groups": 2}}}"#;
    assert!(serde_json::from_str::<UnetrConfig>(norm).is_err());
}

#[test]
fn configurations_from_before_a_field_existed_are_read() {
    let mut old = serde_json::to_value(UnetrConfig::small()).unwrap();
    for field in ["stochastic_depth", "layer_scale", "auxiliary_heads"] {
        old.as_object_mut().unwrap().remove(field).unwrap();
    }
    let read: UnetrConfig = serde_json::from_value(old).unwrap();
    assert_eq!(read, UnetrConfig::small());
}

#[test]
fn taps_are_a_quarter_a_half_and_three_quarters() {
    for (layers, taps) in [
        (12, [3, 6, 9]),
        (4, [1, 2, 3]),
        (24, [6, 12, 18]),
        (6, [1, 3, 4]),
    ] {
        assert_eq!(
            UnetrConfig {
                layers,
                ..UnetrConfig::tiny()
            }
            .taps(),
            taps
        );
    }
}

#[test]
fn errors_say_what_to_do() {
    let tiny = UnetrConfig::tiny;
    let cases = [
        (
            tiny().with_image_size([256, 250]),
            "image size 250 is not a multiple of the patch size 16; pad or resize to 256",
        ),
        (
            UnetrConfig {
                patch_size: 8,
                ..tiny()
            },
            "patch size 8 is not possible for UNETR, whose decoder upsamples four times by 2; use 16",
        ),
        (
            UnetrConfig { heads: 5, ..tiny() },
            "hidden size 32 is not divisible by 5 heads; change one of them so that it is",
        ),
        (
            UnetrConfig {
                layers: 3,
                ..tiny()
            },
            "layers is 3, expected 4 or more: the decoder takes 4",
        ),
        (
            UnetrConfig {
                classes: 0,
                ..tiny()
            },
            "classes is 0, expected 1 to 32768",
        ),
        (
            UnetrConfig { heads: 0, ..tiny() },
            "heads is 0, expected 1 to 32768",
        ),
        (
            UnetrConfig {
                hidden_size: usize::MAX,
                ..tiny()
            },
            "hidden_size is 18446744073709551615, expected 1 to 32768",
        ),
        (
            UnetrConfig {
                dropout: 1.,
                ..tiny()
            },
            "dropout is 1, expected at least 0 and less than 1",
        ),
        (
            UnetrConfig {
                stochastic_depth: 1.,
                ..tiny()
            },
            "stochastic_depth is 1, expected at least 0 and less than 1",
        ),
        (
            UnetrConfig {
                layer_scale: Some(f64::NAN),
                ..tiny()
            },
            "layer_scale is NaN, expected a finite number",
        ),
        (
            UnetrConfig {
                layer_norm_eps: 0.,
                ..tiny()
            },
            "layer_norm_eps is 0, expected more than 0",
        ),
        (
            UnetrConfig {
                norm: NormConfig::Group {
                    groups: 3,
                    eps: 1e-6,
                },
                ..tiny()
            },
            "norm.groups is 3, expected a divisor of the feature size",
        ),
        (
            UnetrConfig {
                norm: NormConfig::Instance {
                    affine: true,
                    eps: f64::NAN,
                },
                ..tiny()
            },
            "norm.eps is NaN, expected more than 0",
        ),
        (
            UnetrConfig {
                leaky_slope: f64::INFINITY,
                ..tiny()
            },
            "leaky_slope is inf, expected a finite number above 0",
        ),
        (
            UnetrConfig {
                leaky_slope: 0.,
                ..UnetrConfig::tiny()
            },
            "leaky_slope is 0, expected a finite number above 0",
        ),
    ];
    for (cfg, expected) in cases {
        assert_eq!(message(&cfg), expected);
        let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
        let error = Unetr::new(&cfg, parameters.var_builder()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(
            parameters.names().is_empty(),
            "a parameter was made for {cfg:?}"
        );
    }
}

#[test]
fn a_vit_alone_takes_any_patch_size() {
    let cfg = VitConfig {
        image_size: [21, 28],
        patch_size: 7,
        ..VitConfig::default()
    };
    cfg.validate().unwrap();
    assert_eq!((cfg.grid(), cfg.tokens()), ([3, 4], 12));
    let error = VitConfig {
        patch_size: 0,
        ..cfg
    }
    .validate()
    .unwrap_err();
    assert!(matches!(
        error,
        Error::Setting {
            what: "patch_size",
            ..
        }
    ));
}

#[test]
fn images_that_nobody_can_hold_are_refused() {
    let largest = UnetrConfig::tiny().with_image_size([4096, 4096]);
    largest.validate().unwrap();
    let error = largest
        .with_image_size([4096, 4112])
        .validate()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "image_size is 4096x4112, expected at most 16777216 pixels"
    );
}

#[test]
fn images_of_another_shape_are_refused() {
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).unwrap();
    let shapes: [&[usize]; 5] = [
        &[1, 3, 64, 48],
        &[1, 4, 64, 64],
        &[3, 64, 64],
        &[0, 3, 64, 64],
        &[1, 3, 64, 64, 1],
    ];
    for shape in shapes {
        let images = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let error = model.forward(&images, Mode::Eval).unwrap_err().to_string();
        let expected = format!("images have shape {shape:?}, expected [batch, 3, 64, 64]");
        assert!(error.starts_with(&expected), "{error}");
    }
}
