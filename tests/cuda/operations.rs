//! Every operation, in every precision, with odd sizes.

use candle_core::{DType, Device, Result, Tensor, Var};

use rand::{Rng as _, SeedableRng as _};
use unetr::ops::*;

use super::gpu;

const PRECISIONS: [Precision; 4] = [
    Precision::Full,
    Precision::Tf32,
    Precision::Bf16,
    Precision::F16,
];

/// The leaky ReLU's: nearly straight, because where rounding turns the sign of a value, the gradient
/// jumps by what the slope lacks of 1, which says nothing of an operation.
const SLOPE: f64 = 0.9;

/// Numbers in -1..1, the same for the same seed.
pub(crate) fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(crate) fn values(xs: &Tensor) -> Vec<f64> {
    let xs = xs.to_dtype(DType::F64).unwrap();
    xs.flatten_all().unwrap().to_vec1().unwrap()
}

/// How far results may be off, of the largest value: something that rounding of intermediates can
/// cost, and four times what rounding the arguments alone costs on the CPU in f64.
fn bound(precision: Precision, rounding: f64) -> f64 {
    let intermediates = match precision {
        Precision::Full => 3e-5,
        Precision::Tf32 | Precision::F16 => 5e-3,
        Precision::Bf16 => 3e-2,
        other => panic!("no bound for {other}"),
    };
    intermediates + 4. * rounding
}

/// As the numbers of a precision hold them.
fn rounded(xs: &Tensor, precision: Precision) -> Tensor {
    let dtype = match precision {
        Precision::Full => return xs.clone(),
        Precision::Tf32 => return truncated(xs),
        Precision::F16 => DType::F16,
        Precision::Bf16 => DType::BF16,
        other => panic!("no type for {other}"),
    };
    let rounded = xs.to_dtype(dtype).unwrap();
    rounded.to_dtype(xs.dtype()).unwrap()
}

/// As matrix units read f32 for TF32: without the last 13 bits, which is up to twice as far off as
/// rounding.
fn truncated(xs: &Tensor) -> Tensor {
    let truncate = |x: f64| f64::from(f32::from_bits((x as f32).to_bits() & !0x1fff));
    let values: Vec<f64> = values(xs).into_iter().map(truncate).collect();
    Tensor::from_vec(values, xs.dims(), &Device::Cpu).unwrap()
}

/// The largest difference, as a part of the largest expected value.
pub(crate) fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected
        .iter()
        .fold(1e-30_f64, |scale, x| scale.max(x.abs()));
    let off = found
        .iter()
        .zip(expected)
        .map(|(x, y)| (x - y).abs() / scale);
    off.fold(0., |most, x| {
        if x.is_nan() {
            f64::INFINITY
        } else {
            most.max(x)
        }
    })
}

/// The result of `f` and the gradients of its inputs.
fn run(
    inputs: &[Tensor],
    wanted: &[bool],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<Vec<Vec<f64>>> {
    let vars: Vec<Var> = inputs.iter().map(Var::from_tensor).collect::<Result<_>>()?;
    let wanted = |i: usize| wanted.get(i).copied().unwrap_or(true);
    let tracked = vars.iter().enumerate().map(|(i, var)| match wanted(i) {
        true => var.as_tensor().clone(),
        false => var.as_detached_tensor(),
    });
    let ys = f(&tracked.collect::<Vec<_>>())?;
    let wide = ys.to_dtype(inputs[0].dtype())?;
    let factors = random(77, wide.dims())
        .to_dtype(wide.dtype())?
        .to_device(wide.device())?;
    let grads = backward(&(wide * factors)?.sum_all()?)?;
    let mut all = vec![values(&ys)];
    for (i, var) in vars.iter().enumerate().filter(|(i, _)| wanted(*i)) {
        let Some(grad) = grads.get(var) else {
            candle_core::bail!("input {i} has no gradient");
        };
        assert_eq!(grad.dims(), var.dims(), "gradient of input {i}");
        all.push(values(grad));
    }
    Ok(all)
}

/// Asserts that `f` and its gradients are on the GPU what they are on the CPU.
pub(crate) fn agrees(what: &str, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    agrees_for(what, inputs, &[], f);
}

fn agrees_for(
    what: &str,
    inputs: &[Tensor],
    wanted: &[bool],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let Some(device) = gpu() else { return };
    let expected = run(inputs, wanted, &f).unwrap();
    let mut failures = Vec::new();
    for precision in PRECISIONS {
        let on_gpu = inputs
            .iter()
            .map(|x| x.to_dtype(DType::F32)?.to_device(&device));
        let on_gpu: Vec<Tensor> = on_gpu.collect::<Result<_>>().unwrap();
        let found = match with_precision(precision, || run(&on_gpu, wanted, &f)) {
            Ok(found) => found,
            Err(error) => {
                failures.push(format!("{precision}: {error}"));
                continue;
            }
        };
        let rounded: Vec<Tensor> = inputs.iter().map(|x| rounded(x, precision)).collect();
        let rounded = run(&rounded, wanted, &f).unwrap();
        for (i, ((found, expected), rounded)) in
            found.iter().zip(&expected).zip(&rounded).enumerate()
        {
            let bound = bound(precision, difference(rounded, expected));
            let off = difference(found, expected);
            if off > bound {
                let which = match i {
                    0 => "the result".to_owned(),
                    i => format!("gradient {}", i - 1),
                };
                failures.push(format!(
                    "{precision}: {which} is off by {off:.2e}, allowed {bound:.2e}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{what}\n  {}", failures.join("\n  "));
}

#[test]
fn linear_layers() {
    for (rows, inputs, outputs) in [(1, 1, 1), (7, 33, 19), (64, 48, 80)] {
        let x = [
            random(1, &[rows, inputs]),
            random(2, &[outputs, inputs]),
            random(3, &[outputs]),
        ];
        agrees(&format!("linear {rows} {inputs} {outputs}"), &x, |x| {
            linear(&x[0], &x[1], Some(&x[2]))
        });
        agrees("linear without a bias", &x[..2], |x| {
            linear(&x[0], &x[1], None)
        });
    }
}

#[test]
fn layer_norms() {
    for shape in [[5, 33], [40, 64], [3, 768]] {
        let x = [
            random(1, &shape),
            random(2, &shape[1..]),
            random(3, &shape[1..]),
        ];
        agrees(&format!("layer_norm {shape:?}"), &x, |x| {
            layer_norm(&x[0], &x[1], &x[2], 1e-6)
        });
    }
}

#[test]
fn encoder_blocks() {
    let sizes = [(2, 5, 6, 9, 3), (3, 16, 64, 96, 4), (2, 37, 48, 40, 2)];
    for (batch, tokens, hidden, mlp, heads) in sizes {
        let shapes: [&[usize]; 13] = [
            &[batch, tokens, hidden],
            &[hidden],
            &[hidden],
            &[3 * hidden, hidden],
            &[3 * hidden],
            &[hidden, hidden],
            &[hidden],
            &[hidden],
            &[hidden],
            &[mlp, hidden],
            &[mlp],
            &[hidden, mlp],
            &[hidden],
        ];
        let x: Vec<Tensor> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| random(i as u64, shape))
            .collect();
        for (gelu, keep) in [(Gelu::Tanh, Keep::Activations), (Gelu::Erf, Keep::Input)] {
            let f = |x: &[Tensor]| {
                let affine = |i: usize| Affine {
                    weight: &x[i],
                    bias: &x[i + 1],
                };
                let dense = |i: usize| Dense {
                    weight: &x[i],
                    bias: Some(&x[i + 1]),
                };
                let block = EncoderBlock {
                    norm1: affine(1),
                    qkv: dense(3),
                    projection: dense(5),
                    norm2: affine(7),
                    linear1: dense(9),
                    linear2: dense(11),
                    heads,
                    gelu,
                    eps: 1e-6,
                    keep,
                };
                encoder_block(&x[0], &block)
            };
            agrees(
                &format!("encoder_block {batch} {tokens} {hidden} {mlp} {gelu:?}"),
                &x,
                f,
            );
        }
    }
}

/// A residual block's inputs and parameters.
fn block_arguments(
    inputs: &[usize],
    outputs: usize,
    [batch, height, width]: [usize; 3],
    kernels: &[usize],
) -> Vec<Tensor> {
    let total: usize = inputs.iter().sum();
    let mut all: Vec<Tensor> = Vec::new();
    for channels in inputs {
        all.push(random(all.len() as u64, &[batch, *channels, height, width]));
    }
    for (conv, &kernel) in kernels.iter().enumerate() {
        let channels = if conv == 1 { outputs } else { total };
        let seed = all.len() as u64;
        all.push(random(seed, &[outputs, channels, kernel, kernel]));
        all.push(random(seed + 1, &[outputs]));
        all.push(random(seed + 2, &[outputs]));
    }
    all
}

fn block(inputs: usize, x: &[Tensor]) -> Result<Tensor> {
    let (xs, parameters) = x.split_at(inputs);
    let convs: Vec<NormedConv<'_>> = parameters
        .chunks(3)
        .map(|x| NormedConv {
            weight: &x[0],
            affine: Some(Affine {
                weight: &x[1],
                bias: &x[2],
            }),
        })
        .collect();
    let parameters = ResidualBlock {
        first: convs[0],
        second: convs[1],
        shortcut: convs.get(2).copied(),
        eps: 1e-5,
        negative_slope: SLOPE,
    };
    residual_block(&xs.iter().collect::<Vec<_>>(), &parameters)
}

#[test]
fn residual_blocks() {
    let cases = [
        ([2, 1].as_slice(), 2, [2, 3, 4], [3, 3, 1].as_slice()),
        ([5].as_slice(), 17, [1, 9, 40], [3, 3, 1].as_slice()),
        ([3].as_slice(), 16, [2, 33, 20], [3, 3, 1].as_slice()),
        ([16, 16].as_slice(), 16, [2, 17, 35], [3, 3, 1].as_slice()),
        ([32].as_slice(), 32, [2, 8, 16], [3, 3].as_slice()),
        ([48, 16].as_slice(), 64, [1, 24, 30], [3, 3, 1].as_slice()),
        ([128].as_slice(), 128, [2, 9, 7], [3, 3, 1].as_slice()),
        ([4, 2].as_slice(), 6, [3, 8, 8], [3, 5, 1].as_slice()),
    ];
    for (inputs, outputs, size, kernels) in cases {
        let x = block_arguments(inputs, outputs, size, kernels);
        let what = format!("residual_block {inputs:?} {outputs} {size:?} {kernels:?}");
        agrees(&what, &x, |x| block(inputs.len(), x));
    }
    // At 0 the derivative is not the slope.
    let mut x = block_arguments(&[3], 16, [2, 9, 8], &[3, 3, 1]);
    for affine in &mut x[2..4] {
        *affine = affine.zeros_like().unwrap();
    }
    agrees("residual_block that begins with zeros", &x, |x| block(1, x));
    let x = block_arguments(&[3], 16, [2, 33, 20], &[3, 3, 1]);
    agrees_for("residual_block of a constant image", &x, &[false], |x| {
        block(1, x)
    });
}

#[test]
fn convolutions() {
    let cases = [
        ([2, 3, 8, 12], [24, 3, 4, 4], 4, 0, 1),
        ([2, 16, 9, 21], [3, 16, 1, 1], 1, 0, 1),
        ([1, 5, 7, 6], [2, 5, 1, 1], 1, 0, 1),
        ([2, 16, 9, 21], [32, 16, 3, 3], 1, 1, 1),
        ([2, 16, 9, 21], [32, 16, 1, 1], 1, 0, 1),
        ([2, 5, 9, 8], [7, 5, 3, 3], 1, 1, 1),
        ([1, 80, 20, 17], [48, 80, 3, 3], 1, 1, 1),
        ([2, 4, 7, 5], [6, 2, 3, 3], 2, 2, 2),
    ];
    for (image, weight, stride, padding, groups) in cases {
        let config = Conv2dConfig {
            stride,
            padding,
            dilation: 1,
            groups,
        };
        let x = [
            random(1, &image),
            random(2, &weight),
            random(3, &weight[..1]),
        ];
        let what = format!("conv2d {image:?} {weight:?} {config:?}");
        agrees(&what, &x, |x| conv2d(&x[0], &x[1], Some(&x[2]), &config));
    }
}

#[test]
fn transposed_convolutions() {
    let cases = [
        ([2, 3, 4, 5], [3, 2, 2, 2], ConvTranspose2dConfig::stride(2)),
        (
            [2, 32, 6, 4],
            [32, 16, 2, 2],
            ConvTranspose2dConfig::stride(2),
        ),
        (
            [1, 5, 3, 4],
            [5, 3, 3, 3],
            ConvTranspose2dConfig {
                stride: 2,
                crop_begin: 0,
                crop_end: 1,
            },
        ),
    ];
    for (image, weight, config) in cases {
        let x = [
            random(1, &image),
            random(2, &weight),
            random(3, &weight[1..2]),
        ];
        let what = format!("conv_transpose2d {image:?} {weight:?}");
        agrees(&what, &x, |x| {
            conv_transpose2d(&x[0], &x[1], Some(&x[2]), &config)
        });
    }
}

#[test]
fn results_that_are_used_several_times_in_several_ways() {
    let parameters = block_arguments(&[16, 16], 16, [2, 4, 6], &[3, 3, 1]);
    let x = [
        vec![
            random(50, &[2, 24, 40]),
            random(51, &[40, 40]),
            random(52, &[16, 40, 1, 1]),
        ],
        parameters[2..].to_vec(),
    ]
    .concat();
    agrees("a network", &x, |x| {
        let tokens = linear(&x[0], &x[1], None)?;
        let map = tokens_to_map(&tokens, [4, 6])?;
        let point = Conv2dConfig::default();
        let low = conv2d(&map, &x[2], None, &point)?;
        let low = conv2d(&low.contiguous()?, &x[2].narrow(1, 0, 16)?, None, &point)?;
        let inputs = [&[low.clone(), low.clone()], &x[3..]].concat();
        let ys = block(2, &inputs)?;
        let sum = (ys.to_dtype(DType::F32)?.to_dtype(x[0].dtype())?
            + low.to_dtype(x[0].dtype())?.sqr()?)?;
        let mean = tokens.to_dtype(x[0].dtype())?.mean_all()?;
        sum.broadcast_add(&mean)
    });
}

#[test]
fn gradients_go_back_from_tokens_to_maps_and_from_maps_to_tokens() {
    let x = [
        random(60, &[2, 24, 16]),
        random(61, &[32, 16]),
        random(62, &[16, 32, 3, 3]),
        random(63, &[8, 16]),
    ];
    let same_size = Conv2dConfig {
        padding: 1,
        ..Conv2dConfig::default()
    };
    agrees("tokens, a map and tokens", &x, |x| {
        let map = tokens_to_map(&linear(&x[0], &x[1], None)?, [4, 6])?;
        let map = conv2d(&map, &x[2], None, &same_size)?;
        linear(&map_to_tokens(&map)?, &x[3], None)
    });
}

#[test]
fn parameters_may_begin_anywhere_and_not_be_of_any_type() {
    let x = [random(64, &[3, 16]), random(65, &[17]), random(66, &[17])];
    agrees("layer_norm", &x, |x| {
        let [weight, bias] = [1, 2].map(|i| x[i].narrow(0, 1, 16));
        layer_norm(&x[0], &weight?, &bias?, 1e-6)
    });
    let Some(device) = gpu() else { return };
    let xs = Tensor::ones((2, 3), DType::F32, &device).unwrap();
    let weight = Tensor::ones((4, 3), DType::F64, &device).unwrap();
    let error = linear(&xs, &weight, None).unwrap_err().to_string();
    assert!(error.contains("F64, expected f32, bf16 or f16"), "{error}");
}

#[test]
fn optimiser_steps() {
    let Some(device) = gpu() else { return };
    let run = |device: &Device| {
        let var = |seed, shape: &[usize]| {
            let values = random(seed, shape).to_dtype(DType::F32).unwrap();
            Var::from_tensor(&values.to_device(device).unwrap()).unwrap()
        };
        let (parameter, gradient) = (var(1, &[300, 7]), var(2, &[300, 7]));
        let (moments, average) = (
            Var::zeros((2, 300, 7), DType::F32, device).unwrap(),
            var(3, &[300, 7]),
        );
        for step in 1..4 {
            let step = AdamStep {
                learning_rate: 0.01,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                gradient_scale: 0.5,
                weight_decay: 0.1,
                step,
            };
            adam_step(&parameter, &gradient, &moments, &step).unwrap();
            moving_averages(&[(&average, &parameter)], 0.9).unwrap();
        }
        [parameter, moments, average].map(|var| values(&var))
    };
    let (ours, expected) = (run(&device), run(&Device::Cpu));
    for (ours, expected) in ours.iter().zip(&expected) {
        for (ours, expected) in ours.iter().zip(expected) {
            assert!(
                (ours - expected).abs() < 1e-6,
                "{ours} instead of {expected}"
            );
        }
    }
}
