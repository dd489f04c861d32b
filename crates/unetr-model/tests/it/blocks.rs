use unetr_model::{
    ConvNormActivation, ConvNormActivationConfig, DecoderConfig, EncoderBlock, Mlp, Mode,
    NormConfig, PatchEmbedding, PrUpBlock, ResBlock, SelfAttention, UnetBlock, UpBlock, Vit,
    VitConfig,
};
use unetr_ops::Activation;

use crate::fixture::{check, y};

const TRAIN: Mode = Mode::Train { seed: 0 };

fn vit_config() -> VitConfig {
    VitConfig {
        image_size: [32, 32],
        patch_size: 16,
        hidden_size: 12,
        mlp_size: 20,
        heads: 3,
        layers: 3,
        ..VitConfig::default()
    }
}

#[test]
fn patch_embedding() {
    check("patch_embedding", "vit/patch_embedding/", |vb, inputs| {
        let cfg = VitConfig {
            patch_size: 8,
            ..vit_config()
        };
        let block = PatchEmbedding::new(&cfg, vb.pp("vit.patch_embedding"))?;
        Ok(y(block.forward(&inputs["x"], TRAIN)?))
    });
}

#[test]
fn mlp() {
    check("mlp", "vit/blocks/0/mlp/", |vb, inputs| {
        let block = Mlp::new(&vit_config(), vb.pp("vit.blocks.0.mlp"))?;
        Ok(y(block.forward(&inputs["x"], TRAIN)?))
    });
}

#[test]
fn attention() {
    check("attention", "vit/blocks/0/attn/", |vb, inputs| {
        let block = SelfAttention::new(&vit_config(), vb.pp("vit.blocks.0.attn"))?;
        Ok(y(block.forward(&inputs["x"], TRAIN)?))
    });
}

#[test]
fn encoder_block() {
    check("vit_encoder_block", "vit/blocks/0/", |vb, inputs| {
        let block = EncoderBlock::new(&vit_config(), vb.pp("vit.blocks.0"))?;
        Ok(y(block.forward(&inputs["x"], TRAIN)?))
    });
}

#[test]
fn vit() {
    check("vit", "vit/", |vb, inputs| {
        let output = Vit::new(&vit_config(), vb.pp("vit"))?.forward(&inputs["x"], TRAIN)?;
        let hidden = output.hidden_states.into_iter().enumerate();
        let mut outputs = y(output.normed);
        outputs.extend(hidden.map(|(i, state)| (format!("hidden/{i}"), state)));
        Ok(outputs)
    });
}

#[test]
fn conv_norm_activation() {
    let relu = ConvNormActivationConfig {
        activation: Activation::Relu,
        ..ConvNormActivationConfig::default()
    };
    let batch = ConvNormActivationConfig {
        norm: Some(NormConfig::BATCH_FLAX),
        ..relu
    };
    let bare = ConvNormActivationConfig {
        kernel: 1,
        stride: 2,
        ..Default::default()
    };
    let placed = ConvNormActivationConfig {
        stride: 2,
        groups: 2,
        dilation: 2,
        activation: Activation::LeakyRelu { slope: 0.01 },
        ..relu
    };
    let cases = [
        ("cna_instance", relu, TRAIN),
        ("cna_batch_train", batch, TRAIN),
        ("cna_batch_eval", batch, Mode::Eval),
        (
            "cna_none",
            ConvNormActivationConfig { norm: None, ..relu },
            TRAIN,
        ),
        ("cna_noact_1x1_stride2", bare, TRAIN),
        ("cna_groups_dilation_stride", placed, TRAIN),
    ];
    for (name, cfg, mode) in cases {
        check(name, "encoder1/layer/conv_norm_act1/", |vb, inputs| {
            let vb = vb.pp("encoder1.layer");
            let block = ConvNormActivation::new(4, 6, &cfg, vb.pp("conv1.conv"), vb.pp("norm1"))?;
            Ok(y(block.forward(&inputs["x"], mode)?))
        });
    }
}

#[test]
fn res_block() {
    let instance = DecoderConfig::default();
    let batch = DecoderConfig {
        norm: NormConfig::BATCH_FLAX,
        ..instance
    };
    let cases = [
        ("res_block_down", 4, 1, instance, TRAIN),
        ("res_block_plain", 6, 1, instance, TRAIN),
        ("res_block_stride2", 6, 2, instance, TRAIN),
        ("res_block_batch_train", 4, 1, batch, TRAIN),
        ("res_block_batch_eval", 4, 1, batch, Mode::Eval),
    ];
    for (name, inputs_count, stride, cfg, mode) in cases {
        check(name, "encoder1/layer/", |vb, inputs| {
            let block = ResBlock::new(inputs_count, 6, stride, &cfg, vb.pp("encoder1.layer"))?;
            Ok(y(block.forward(&inputs["x"], mode)?))
        });
    }
}

#[test]
fn first_encoder() {
    check("basic_block", "encoder1/", |vb, inputs| {
        let block = UnetBlock::new(3, 4, &DecoderConfig::default(), vb.pp("encoder1.layer"))?;
        Ok(y(block.forward(&inputs["x"], TRAIN)?))
    });
}

#[test]
fn pr_up_block() {
    for stages in 0..3 {
        check(&format!("prup_{stages}"), "encoder2/", |vb, inputs| {
            let block = PrUpBlock::new(8, 6, stages, &DecoderConfig::default(), vb.pp("encoder2"))?;
            Ok(y(block.forward(&inputs["x"], TRAIN)?))
        });
    }
}

#[test]
fn up_block() {
    check("up_block", "decoder5/", |vb, inputs| {
        let block = UpBlock::new(8, 6, &DecoderConfig::default(), vb.pp("decoder5"))?;
        Ok(y(block.forward(&inputs["x"], &inputs["skip"], TRAIN)?))
    });
}
