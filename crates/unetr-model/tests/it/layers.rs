use unetr_model::{Bias, ConvTranspose2d, LayerNorm, Mode, Norm, NormConfig};
use unetr_ops::{ConvTranspose2dConfig, Epilogue, Gelu, gelu, leaky_relu, relu, softmax_last_dim};

use crate::fixture::{Fixture, assert_close, check, y};

const TRAIN: Mode = Mode::Train { seed: 0 };

#[test]
fn layer_norm() {
    check("layer_norm", "vit/norm/", |vb, inputs| {
        Ok(y(
            LayerNorm::new(7, 1e-6, vb.pp("vit.norm"))?.forward(&inputs["x"])?
        ))
    });
}

#[test]
fn channel_norms() {
    let cases = [
        ("instance_norm", 5, NormConfig::INSTANCE, TRAIN),
        (
            "group_norm",
            6,
            NormConfig::Group {
                groups: 2,
                eps: 1e-6,
            },
            TRAIN,
        ),
        ("batch_norm_train", 5, NormConfig::BATCH_FLAX, TRAIN),
        ("batch_norm_eval", 5, NormConfig::BATCH_FLAX, Mode::Eval),
    ];
    for (name, channels, cfg, mode) in cases {
        check(name, "encoder1/layer/conv_norm2/layers/1/", |vb, inputs| {
            let norm = Norm::new(channels, cfg, vb.pp("encoder1.layer.norm2"))?;
            Ok(y(norm.forward(&inputs["x"], Epilogue::default(), mode)?))
        });
    }
}

#[test]
fn transposed_convolutions() {
    let same = ConvTranspose2dConfig {
        stride: 2,
        crop_begin: 0,
        crop_end: 1,
    };
    let valid = ConvTranspose2dConfig::stride(2);
    let cases = [
        ("conv_transpose_same_k2s2", 2, valid),
        ("conv_transpose_valid_k2s2", 2, valid),
        ("conv_transpose_same_k3s2", 3, same),
        ("conv_transpose_valid_k3s2", 3, valid),
    ];
    for (name, kernel, cfg) in cases {
        check(name, "encoder4/transp_conv_init/", |vb, inputs| {
            let vb = vb.pp("encoder4.transp_conv_init.conv");
            let layer = ConvTranspose2d::new(5, 3, kernel, cfg, Bias::Learned, vb)?;
            Ok(y(layer.forward(&inputs["x"])?))
        });
    }
}

#[test]
fn activations() {
    let fixture = Fixture::open("blocks/activations");
    let inputs = fixture.inputs(candle_core::DType::F32);
    let xs = &inputs["x"];
    let cases = [
        ("gelu_tanh", gelu(xs, Gelu::Tanh)),
        ("gelu_erf", gelu(xs, Gelu::Erf)),
        ("leaky_relu", leaky_relu(xs, 0.01)),
        ("relu", relu(xs)),
    ];
    for (name, ys) in cases {
        let ys = ys.unwrap();
        assert_close(name, &ys, &fixture.reference(&format!("out/{name}")), 1e-5);
        let gradients = ys.sum_all().unwrap().backward().unwrap();
        let expected = fixture.reference(&format!("grad/{name}"));
        assert_close(name, gradients.get(xs).unwrap(), &expected, 1e-5);
    }
    let ys = softmax_last_dim(&inputs["logits"]).unwrap();
    assert_close("softmax", &ys, &fixture.reference("out/softmax"), 1e-5);
}
