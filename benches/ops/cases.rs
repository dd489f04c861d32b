//! The operations and their shapes.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Result, Tensor, Var};
use unetr::ops::{
    Activation, AdamStep, Affine, Conv2dConfig, ConvTranspose2dConfig, Dense, Dropout,
    EncoderBlock, Epilogue, Gelu, JaccardReduction, Keep, Mode, NormedConv, ResidualBlock,
    adam_step, attention, conv_transpose2d, conv2d, cross_entropy, encoder_block, gelu,
    instance_norm, layer_norm, linear, residual_block, soft_jaccard,
};

use crate::suite::{Suite, Timed, Work};

const BATCH: usize = 2;
/// Patches of 16 x 16 in an image of 256 x 256.
const TOKENS: usize = 256;
const HIDDEN: usize = 768;
const MLP: usize = 4 * HIDDEN;
const HEADS: usize = 4;
const CLASSES: usize = 3;
const SIZE: usize = 256;
const EPS: f64 = 1e-6;
const SLOPE: f64 = 0.01;

pub(crate) fn convolutions(suite: &mut Suite) -> Result<()> {
    let shapes = [
        (3, 16, 256, 16),
        (3, 32, 256, 16),
        (3, 32, 128, 32),
        (3, 64, 64, 32),
        (3, 256, 32, 128),
        (1, 32, 256, 16),
    ];
    for (kernel, inputs, size, outputs) in shapes {
        let op = format!("conv2d {kernel}x{kernel}");
        let shape = format!("[{BATCH},{inputs},{size},{size}] -> {outputs}");
        let work = Work::product(conv_flops(BATCH, inputs, outputs, kernel, size));
        let same = Conv2dConfig {
            padding: kernel / 2,
            ..Conv2dConfig::default()
        };
        let xs = [BATCH, inputs, size, size];
        let weight = [outputs, inputs, kernel, kernel];
        suite.differentiable(&op, &shape, work, &[&xs, &weight], |x| {
            conv2d(&x[0], &x[1], None, &same)
        })?;
    }
    let (inputs, size, outputs) = (32, 128, 16);
    let shape = format!("[{BATCH},{inputs},{size},{size}] -> {outputs}");
    // Every pixel of the output comes from one of the input.
    let work = Work::product(conv_flops(BATCH, inputs, outputs, 1, 2 * size));
    let xs = [BATCH, inputs, size, size];
    let arguments: [&[usize]; 3] = [&xs, &[inputs, outputs, 2, 2], &[outputs]];
    suite.differentiable(
        "conv_transpose2d 2x2, stride 2",
        &shape,
        work,
        &arguments,
        |x| conv_transpose2d(&x[0], &x[1], Some(&x[2]), &ConvTranspose2dConfig::stride(2)),
    )
}

/// Of a convolution whose output has `size x size` pixels.
pub(crate) fn conv_flops(
    batch: usize,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    size: usize,
) -> usize {
    2 * batch * inputs * outputs * kernel * kernel * size * size
}

pub(crate) fn normalisations(suite: &mut Suite) -> Result<()> {
    let xs = [BATCH, 16, SIZE, SIZE];
    let numbers: usize = xs.iter().product();
    let work = Work::numbers(2 * numbers, 3 * numbers);
    let activation = Activation::LeakyRelu { slope: SLOPE };
    suite.differentiable(
        "instance_norm + leaky_relu",
        &format!("{xs:?}").replace(' ', ""),
        work,
        &[&xs, &[16], &[16]],
        |x| {
            let affine = Affine {
                weight: &x[1],
                bias: &x[2],
            };
            instance_norm(&x[0], Some(affine), EPS, Epilogue::activation(activation))
        },
    )
}

pub(crate) fn transformer(suite: &mut Suite) -> Result<()> {
    let tokens: &[usize] = &[BATCH, TOKENS, HIDDEN];
    let shape = format!("[{BATCH},{TOKENS},{HIDDEN}]");
    let rows = BATCH * TOKENS;

    let work = Work::numbers(2 * rows * HIDDEN, 3 * rows * HIDDEN);
    let arguments = [tokens, &[HIDDEN], &[HIDDEN]];
    suite.differentiable("layer_norm", &shape, work, &arguments, |x| {
        layer_norm(&x[0], &x[1], &x[2], EPS)
    })?;

    let work = Work::numbers(2 * rows * MLP, 3 * rows * MLP);
    let wide = format!("[{BATCH},{TOKENS},{MLP}]");
    suite.differentiable("gelu", &wide, work, &[&[BATCH, TOKENS, MLP]], |x| {
        gelu(&x[0], Gelu::Tanh)
    })?;

    let work = Work::product(2 * rows * HIDDEN * MLP);
    let arguments = [tokens, &[MLP, HIDDEN], &[MLP]];
    let to_mlp = format!("{shape} -> {MLP}");
    suite.differentiable("linear", &to_mlp, work, &arguments, |x| {
        linear(&x[0], &x[1], Some(&x[2]))
    })?;

    let dropout = Dropout::new(0., "attention").map_err(candle_core::Error::wrap)?;
    let work = Work::product(attention_flops(BATCH, TOKENS, HIDDEN));
    let heads = format!("{shape}, {HEADS} heads");
    let packed = [BATCH, TOKENS, 3 * HIDDEN];
    suite.differentiable("attention", &heads, work, &[&packed], |x| {
        attention(&x[0], HEADS, &dropout, Mode::Eval)
    })
}

/// Of the scores and of the mixture.
fn attention_flops(batch: usize, tokens: usize, hidden: usize) -> usize {
    4 * batch * tokens * tokens * hidden
}

/// Of one block of the transformer.
pub(crate) fn encoder_block_flops(batch: usize, tokens: usize, hidden: usize, mlp: usize) -> usize {
    let parameters = 4 * hidden * hidden + 2 * hidden * mlp;
    2 * batch * tokens * parameters + attention_flops(batch, tokens, hidden)
}

/// Of one residual block with a convolution as its shortcut.
pub(crate) fn residual_block_flops(
    batch: usize,
    inputs: usize,
    outputs: usize,
    size: usize,
) -> usize {
    conv_flops(batch, inputs, outputs, 3, size)
        + conv_flops(batch, outputs, outputs, 3, size)
        + conv_flops(batch, inputs, outputs, 1, size)
}

pub(crate) fn blocks(suite: &mut Suite) -> Result<()> {
    for (batch, tokens, hidden) in [(BATCH, TOKENS, HIDDEN), (8, 64, 192)] {
        encoder(suite, batch, tokens, hidden)?;
    }
    residual(suite, 32, 16, SIZE)
}

fn encoder(suite: &mut Suite, batch: usize, tokens: usize, hidden: usize) -> Result<()> {
    let mlp = 4 * hidden;
    let shape = format!("[{batch},{tokens},{hidden}], {HEADS} heads");
    let work = Work::product(encoder_block_flops(batch, tokens, hidden, mlp));
    let mut arguments = vec![vec![batch, tokens, hidden]];
    arguments.extend(vec![vec![hidden]; 4]);
    for (rows, columns) in [
        (3 * hidden, hidden),
        (hidden, hidden),
        (mlp, hidden),
        (hidden, mlp),
    ] {
        arguments.extend([vec![rows, columns], vec![rows]]);
    }
    let arguments: Vec<&[usize]> = arguments.iter().map(Vec::as_slice).collect();
    suite.differentiable("encoder_block", &shape, work, &arguments, |x| {
        let norm = |i: usize| Affine {
            weight: &x[i],
            bias: &x[i + 1],
        };
        let dense = |i: usize| Dense {
            weight: &x[i],
            bias: Some(&x[i + 1]),
        };
        let block = EncoderBlock {
            norm1: norm(1),
            norm2: norm(3),
            qkv: dense(5),
            projection: dense(7),
            linear1: dense(9),
            linear2: dense(11),
            heads: HEADS,
            gelu: Gelu::Tanh,
            eps: EPS,
            keep: Keep::Activations,
        };
        encoder_block(&x[0], &block)
    })
}

fn residual(suite: &mut Suite, inputs: usize, outputs: usize, size: usize) -> Result<()> {
    let shape = format!("[{BATCH},{inputs},{size},{size}] -> {outputs}");
    let work = Work::product(residual_block_flops(BATCH, inputs, outputs, size));
    let mut arguments: Vec<&[usize]> = Vec::new();
    let xs = [BATCH, inputs, size, size];
    let weights = [
        [outputs, inputs, 3, 3],
        [outputs, outputs, 3, 3],
        [outputs, inputs, 1, 1],
    ];
    let channels = [outputs];
    arguments.push(&xs);
    for weight in &weights {
        arguments.extend::<[&[usize]; 3]>([weight, &channels, &channels]);
    }
    suite.differentiable("residual_block", &shape, work, &arguments, |x| {
        let conv = |i: usize| NormedConv {
            weight: &x[i],
            affine: Some(Affine {
                weight: &x[i + 1],
                bias: &x[i + 2],
            }),
        };
        let block = ResidualBlock {
            first: conv(1),
            second: conv(4),
            shortcut: Some(conv(7)),
            eps: EPS,
            negative_slope: SLOPE,
        };
        residual_block(&[&x[0]], &block)
    })
}

pub(crate) fn losses(suite: &mut Suite) -> Result<()> {
    let pixels = BATCH * SIZE * SIZE;
    let labels: Vec<u8> = (0..pixels).map(|i| (i % CLASSES) as u8).collect();
    let labels = Tensor::from_vec(labels, (BATCH, SIZE, SIZE), &Device::Cpu)?;
    let logits = [BATCH, CLASSES, SIZE, SIZE];
    let shape = format!("{logits:?}").replace(' ', "");
    let work = Work::numbers(CLASSES * pixels, 2 * CLASSES * pixels);
    suite.differentiable("cross_entropy", &shape, work, &[&logits], |x| {
        cross_entropy(&x[0], &labels)
    })?;
    suite.differentiable("soft_jaccard", &shape, work, &[&logits], |x| {
        soft_jaccard(&x[0], &labels, JaccardReduction::Mean)
    })
}

pub(crate) fn adam(suite: &mut Suite) -> Result<()> {
    let dims = [12, HIDDEN, HIDDEN];
    let (op, shape) = ("adam", format!("{dims:?}").replace(' ', ""));
    if !suite.wants(op, &shape) {
        return Ok(());
    }
    let parameter = Var::randn(0f32, 1f32, &dims, &Device::Cpu)?;
    let gradient = Tensor::randn(0f32, 1f32, &dims, &Device::Cpu)?;
    let moments = Var::zeros((2, dims[0], dims[1], dims[2]), DType::F32, &Device::Cpu)?;
    // Reads the parameter, its gradient and both moments; writes all but the gradient.
    let work = Work::numbers(7 * parameter.elem_count(), 0);
    let mut count = 0;
    suite.measure(op, &shape, work, None, || {
        count += 1;
        let step = AdamStep {
            learning_rate: 0.003,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.,
            step: count,
        };
        let start = Instant::now();
        adam_step(&parameter, &gradient, &moments, &step)?;
        Ok(Timed {
            forward: start.elapsed(),
            backward: Duration::ZERO,
        })
    })
}
