//! The operations and their shapes.

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor, Var};
use unetr::ops::{
    Activation, AdamStep, Affine, Conv2dConfig, ConvTranspose2dConfig, CrossEntropyConfig, Dropout,
    Epilogue, FocalConfig, Gelu, JaccardReduction, LovaszConfig, Mode, adam_step, attention,
    conv_transpose2d, conv2d, cross_entropy, focal, gelu, instance_norm, layer_norm, linear,
    lovasz_softmax, soft_counts, soft_jaccard,
};

use crate::flops;
use crate::row::{Case, Work};
use crate::suite::{Suite, Timed};

pub(crate) const BATCH: usize = 2;
/// Patches of 16 x 16 in an image of 256 x 256.
pub(crate) const TOKENS: usize = 256;
pub(crate) const HIDDEN: usize = 768;
const MLP: usize = 4 * HIDDEN;
pub(crate) const HEADS: usize = 4;
const CLASSES: usize = 3;
pub(crate) const SIZE: usize = 256;
pub(crate) const EPS: f64 = 1e-6;
pub(crate) const SLOPE: f64 = 0.01;

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
        let work = Work::product(flops::conv(BATCH, inputs, outputs, kernel, size));
        let same = Conv2dConfig {
            padding: kernel / 2,
            ..Conv2dConfig::default()
        };
        let xs = [BATCH, inputs, size, size];
        let weight = [outputs, inputs, kernel, kernel];
        suite.differentiable(&case(&op, &shape, work), &[&xs, &weight], |x| {
            conv2d(&x[0], &x[1], None, &same)
        })?;
    }
    let (inputs, size, outputs) = (32, 128, 16);
    let shape = format!("[{BATCH},{inputs},{size},{size}] -> {outputs}");
    // Every pixel of the output comes from one of the input.
    let work = Work::product(flops::conv(BATCH, inputs, outputs, 1, 2 * size));
    let xs = [BATCH, inputs, size, size];
    let arguments: [&[usize]; 3] = [&xs, &[inputs, outputs, 2, 2], &[outputs]];
    suite.differentiable(
        &case("conv_transpose2d 2x2, stride 2", &shape, work),
        &arguments,
        |x| conv_transpose2d(&x[0], &x[1], Some(&x[2]), &ConvTranspose2dConfig::stride(2)),
    )
}

/// One without a throughput in images.
pub(crate) fn case<'a>(op: &'a str, shape: &'a str, work: Work) -> Case<'a> {
    Case {
        op,
        shape,
        work,
        images: None,
    }
}

pub(crate) fn normalisations(suite: &mut Suite) -> Result<()> {
    let xs = [BATCH, 16, SIZE, SIZE];
    let numbers: usize = xs.iter().product();
    let work = Work::numbers(2 * numbers, 3 * numbers);
    let activation = Activation::LeakyRelu { slope: SLOPE };
    suite.differentiable(
        &case(
            "instance_norm + leaky_relu",
            &format!("{xs:?}").replace(' ', ""),
            work,
        ),
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
    suite.differentiable(&case("layer_norm", &shape, work), &arguments, |x| {
        layer_norm(&x[0], &x[1], &x[2], EPS)
    })?;

    let work = Work::numbers(2 * rows * MLP, 3 * rows * MLP);
    let wide = format!("[{BATCH},{TOKENS},{MLP}]");
    suite.differentiable(&case("gelu", &wide, work), &[&[BATCH, TOKENS, MLP]], |x| {
        gelu(&x[0], Gelu::Tanh)
    })?;

    let work = Work::product(2 * rows * HIDDEN * MLP);
    let arguments = [tokens, &[MLP, HIDDEN], &[MLP]];
    let to_mlp = format!("{shape} -> {MLP}");
    suite.differentiable(&case("linear", &to_mlp, work), &arguments, |x| {
        linear(&x[0], &x[1], Some(&x[2]))
    })?;

    let dropout = Dropout::new(0., "attention").map_err(candle_core::Error::wrap)?;
    let work = Work::product(flops::attention(BATCH, TOKENS, HIDDEN));
    let heads = format!("{shape}, {HEADS} heads");
    let packed = [BATCH, TOKENS, 3 * HIDDEN];
    suite.differentiable(&case("attention", &heads, work), &[&packed], |x| {
        attention(&x[0], HEADS, &dropout, Mode::Eval)
    })
}

pub(crate) fn losses(suite: &mut Suite) -> Result<()> {
    let pixels = BATCH * SIZE * SIZE;
    let labels: Vec<u8> = (0..pixels).map(|i| (i % CLASSES) as u8).collect();
    let labels = Tensor::from_vec(labels, (BATCH, SIZE, SIZE), &Device::Cpu)?;
    let logits = [BATCH, CLASSES, SIZE, SIZE];
    let shape = format!("{logits:?}").replace(' ', "");
    let work = Work::numbers(CLASSES * pixels, 2 * CLASSES * pixels);
    let mut measure = |op, loss: &dyn Fn(&Tensor) -> Result<Tensor>| {
        suite.differentiable(&case(op, &shape, work), &[&logits], |x| loss(&x[0]))
    };
    let plain = CrossEntropyConfig::default();
    let smoothed = CrossEntropyConfig {
        class_weights: Some(&[0.5, 2., 1.]),
        smoothing: 0.1,
        ignore_index: Some(255),
    };
    measure("cross_entropy", &|x| cross_entropy(x, &labels, &plain))?;
    measure("cross_entropy, weighted", &|x| {
        cross_entropy(x, &labels, &smoothed)
    })?;
    measure("focal", &|x| focal(x, &labels, &FocalConfig::default()))?;
    let mean = JaccardReduction::Mean;
    measure("soft_jaccard", &|x| soft_jaccard(x, &labels, mean, None))?;
    measure("soft_counts", &|x| soft_counts(x, &labels, None))?;
    let config = LovaszConfig::default();
    measure("lovasz_softmax", &|x| lovasz_softmax(x, &labels, &config))
}

pub(crate) fn adam(suite: &mut Suite) -> Result<()> {
    let dims = [12, HIDDEN, HIDDEN];
    let (op, shape) = ("adam", format!("{dims:?}").replace(' ', ""));
    // Reads the parameter, its gradient and both moments; writes all but the gradient.
    let work = Work::numbers(7 * dims.iter().product::<usize>(), 0);
    let case = case(op, &shape, work);
    if !suite.wants(&case) {
        return Ok(());
    }
    let parameter = Var::randn(0f32, 1f32, &dims, &Device::Cpu)?;
    let gradient = Tensor::randn(0f32, 1f32, &dims, &Device::Cpu)?;
    let moments = Var::zeros((2, dims[0], dims[1], dims[2]), DType::F32, &Device::Cpu)?;
    let mut count = 0;
    suite.measure(&case, || {
        count += 1;
        let step = AdamStep {
            gradient_scale: 1.,
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
            backward: None,
        })
    })
}
