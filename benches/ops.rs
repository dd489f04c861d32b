//! The operations that take the time of a training step, forward, and forward with backward, in the
//! shapes of the tutorial's network at 128 x 128 pixels.
//!
//! `cargo bench --bench ops` measures all, `cargo bench --bench ops -- conv2d` one of them.
#![allow(missing_docs, reason = "`criterion_group!` makes a public function")]

use std::time::Duration;

use candle_core::{Device, Result, Tensor, Var};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use unetr::ops::{
    Activation, Affine, Conv2dConfig, ConvTranspose2dConfig, Dense, Dropout, EncoderBlock,
    Epilogue, Gelu, JaccardReduction, Keep, Mode, NormedConv, ResidualBlock, attention,
    conv_transpose2d, conv2d, cross_entropy, encoder_block, gelu, instance_norm, layer_norm,
    linear, residual_block, soft_jaccard,
};

const BATCH: usize = 4;
/// Patches of 16 x 16 in an image of 128 x 128.
const TOKENS: usize = 64;
const HIDDEN: usize = 768;
const CLASSES: usize = 3;
const EPS: f64 = 1e-6;

/// Measures `op` on variables of the given shapes; the throughput counts elements of the first.
fn bench(
    c: &mut Criterion,
    name: &str,
    shapes: &[&[usize]],
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let variables: Vec<Var> = shapes.iter().map(|shape| random(shape)).collect();
    let inputs: Vec<Tensor> = variables.iter().map(|x| x.as_tensor().clone()).collect();
    let constants: Vec<Tensor> = inputs.iter().map(Tensor::detach).collect();
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(inputs[0].elem_count() as u64));
    group.bench_function("forward", |b| b.iter(|| op(&constants).expect(name)));
    group.bench_function("forward and backward", |b| {
        b.iter(|| op(&inputs).and_then(|ys| ys.backward()).expect(name));
    });
    group.finish();
}

fn random(shape: &[usize]) -> Var {
    Var::randn(0f32, 1f32, shape, &Device::Cpu).expect("memory for the inputs")
}

fn convolutions(c: &mut Criterion) {
    let same = Conv2dConfig {
        padding: 1,
        ..Conv2dConfig::default()
    };
    for (channels, size) in [(16, 128), (64, 32)] {
        let name = format!("conv2d 3x3, {channels} channels, {size}x{size}");
        let shapes: [&[usize]; 2] = [&[BATCH, channels, size, size], &[channels, channels, 3, 3]];
        bench(c, &name, &shapes, |x| conv2d(&x[0], &x[1], None, &same));
    }
    let shapes: [&[usize]; 3] = [&[BATCH, 128, 16, 16], &[128, 64, 2, 2], &[64]];
    bench(c, "conv_transpose2d 2x2, stride 2", &shapes, |x| {
        conv_transpose2d(&x[0], &x[1], Some(&x[2]), &ConvTranspose2dConfig::stride(2))
    });
}

fn transformer(c: &mut Criterion) {
    let tokens: &[usize] = &[BATCH, TOKENS, HIDDEN];
    let shapes = [tokens, &[4 * HIDDEN, HIDDEN], &[4 * HIDDEN]];
    bench(c, "linear", &shapes, |x| linear(&x[0], &x[1], Some(&x[2])));

    let dropout = Dropout::new(0., "attention").expect("0 is a rate");
    let packed: &[usize] = &[BATCH, TOKENS, 3 * HIDDEN];
    bench(c, "attention", &[packed], |x| {
        attention(&x[0], 12, &dropout, Mode::Eval)
    });

    let shapes = [tokens, &[HIDDEN], &[HIDDEN]];
    bench(c, "layer_norm", &shapes, |x| {
        layer_norm(&x[0], &x[1], &x[2], EPS)
    });

    let hidden: &[usize] = &[BATCH, TOKENS, 4 * HIDDEN];
    bench(c, "gelu", &[hidden], |x| gelu(&x[0], Gelu::Tanh));
}

fn blocks(c: &mut Criterion) {
    let xs: &[usize] = &[BATCH, 32, 128, 128];
    let shapes = [xs, &[16, 32, 3, 3], &[16, 16, 3, 3], &[16, 32, 1, 1]];
    bench(c, "residual_block", &shapes, |x| {
        let conv = |i: usize| NormedConv {
            weight: &x[i],
            affine: None,
        };
        let block = ResidualBlock {
            first: conv(1),
            second: conv(2),
            shortcut: Some(conv(3)),
            eps: EPS,
            negative_slope: 0.01,
        };
        residual_block(&[&x[0]], &block)
    });

    let tokens: &[usize] = &[BATCH, TOKENS, HIDDEN];
    let shapes = [
        tokens,
        &[HIDDEN],
        &[3 * HIDDEN, HIDDEN],
        &[HIDDEN, HIDDEN],
        &[4 * HIDDEN, HIDDEN],
        &[HIDDEN, 4 * HIDDEN],
    ];
    bench(c, "encoder_block", &shapes, |x| {
        let norm = Affine {
            weight: &x[1],
            bias: &x[1],
        };
        let dense = |i: usize| Dense {
            weight: &x[i],
            bias: None,
        };
        let block = EncoderBlock {
            norm1: norm,
            qkv: dense(2),
            projection: dense(3),
            norm2: norm,
            linear1: dense(4),
            linear2: dense(5),
            heads: 12,
            gelu: Gelu::Tanh,
            eps: EPS,
            keep: Keep::Activations,
        };
        encoder_block(&x[0], &block)
    });
}

fn normalisation(c: &mut Criterion) {
    let images: &[usize] = &[BATCH, 16, 128, 128];
    let activation = Activation::LeakyRelu { slope: 0.01 };
    bench(c, "instance_norm and leaky_relu", &[images], |x| {
        instance_norm(&x[0], None, EPS, Epilogue::activation(activation))
    });
}

fn losses(c: &mut Criterion) {
    const SIZE: usize = 128;
    let classes: Vec<u8> = (0..BATCH * SIZE * SIZE)
        .map(|i| (i % CLASSES) as u8)
        .collect();
    let labels = Tensor::from_vec(classes, (BATCH, SIZE, SIZE), &Device::Cpu).expect("the labels");
    let logits: &[usize] = &[BATCH, CLASSES, SIZE, SIZE];
    bench(c, "cross_entropy", &[logits], |x| {
        cross_entropy(&x[0], &labels)
    });
    bench(c, "soft_jaccard", &[logits], |x| {
        soft_jaccard(&x[0], &labels, JaccardReduction::Mean)
    });
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = benches;
    config = short();
    targets = convolutions, transformer, blocks, normalisation, losses
}
criterion_main!(benches);
