//! Samples that skip blocks.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Result, Tensor, Var};
use unetr_model::{EncoderBlock, Mode, Parameters, StochasticDepth, Vit, VitConfig};

use crate::finite_differences::{assert_gradients, numbers, scalar};
use crate::fixture::{assert_close, distance};

fn config() -> VitConfig {
    VitConfig {
        image_size: [8, 8],
        patch_size: 4,
        in_channels: 1,
        hidden_size: 6,
        mlp_size: 5,
        heads: 2,
        layers: 3,
        stochastic_depth: 0.6,
        ..VitConfig::default()
    }
}

fn parameters() -> Parameters {
    Parameters::new(5, DType::F64, &Device::Cpu)
}

/// Which samples of a batch skip a block of that rate.
fn skipping(depth: &StochasticDepth, batch: usize, seed: u64) -> Vec<bool> {
    let zeros = Tensor::zeros(batch, DType::F32, &Device::Cpu).unwrap();
    let ys = depth.apply(&zeros, Mode::Train { seed }, |xs| xs + 1.);
    let ys = ys.unwrap().to_vec1::<f32>().unwrap();
    ys.iter().map(|&y| y == 0.).collect()
}

#[test]
fn the_rate_rises_linearly_and_the_last_block_has_it() {
    let cfg = VitConfig {
        layers: 5,
        stochastic_depth: 0.5,
        ..config()
    };
    let rates: Vec<f64> = (0..5).map(|block| cfg.skip_rate(block)).collect();
    assert_eq!(rates, [0., 0.125, 0.25, 0.375, 0.5]);
    let one = VitConfig { layers: 1, ..cfg };
    assert_eq!(one.skip_rate(0), 0.);
}

#[test]
fn samples_skip_at_the_rate_and_the_mean_stays() {
    let depth = StochasticDepth::new(0.3, "a").unwrap();
    let zeros = Tensor::zeros(100_000, DType::F64, &Device::Cpu).unwrap();
    let seen = std::cell::Cell::new(0);
    let block = |xs: &Tensor| {
        seen.set(xs.elem_count());
        xs + 1.
    };
    let ys = depth.apply(&zeros, Mode::Train { seed: 7 }, block).unwrap();
    let ys = ys.to_vec1::<f64>().unwrap();
    let skipped = ys.iter().filter(|&&y| y == 0.).count();
    assert!((skipped as f64 / 1e5 - 0.3).abs() < 0.006, "{skipped}");
    assert_eq!(seen.get(), 100_000 - skipped, "the block computed others");
    let mean = ys.iter().sum::<f64>() / 1e5;
    assert!((mean - 1.).abs() < 0.01, "{mean}");
}

#[test]
fn who_skips_depends_on_seed_and_block_alone() {
    let draw = |layer: &str, seed| {
        let depth = StochasticDepth::new(0.5, layer).unwrap();
        skipping(&depth, 64, seed)
    };
    assert_eq!(draw("a", 1), draw("a", 1));
    assert_ne!(draw("a", 1), draw("a", 2));
    assert_ne!(draw("a", 1), draw("b", 1));
}

#[test]
fn evaluation_and_rate_0_are_the_whole_network() {
    let (cfg, images) = (config(), numbers(&[3, 1, 8, 8]));
    let parameters = parameters();
    let run = |stochastic_depth, mode| {
        let cfg = VitConfig {
            stochastic_depth,
            ..cfg.clone()
        };
        let vit = Vit::new(&cfg, parameters.var_builder()).unwrap();
        vit.forward(&images, mode).unwrap().normed
    };
    let whole = run(0., Mode::Eval);
    assert_eq!(distance(&run(0.6, Mode::Eval), &whole), 0.);
    assert_eq!(distance(&run(0., Mode::Train { seed: 1 }), &whole), 0.);
    let train = || run(0.6, Mode::Train { seed: 1 });
    assert!(distance(&train(), &whole) > 1e-3);
    assert_eq!(distance(&train(), &train()), 0.);
}

/// The same block as separate operations: dropout so rare that it never happens.
fn unfused(cfg: &VitConfig) -> VitConfig {
    VitConfig {
        dropout: f64::MIN_POSITIVE,
        ..cfg.clone()
    }
}

#[test]
fn a_batch_is_its_samples_one_by_one() {
    const RATE: f64 = 0.4;
    let (cfg, parameters) = (config(), parameters());
    let vb = parameters.var_builder();
    let fused = EncoderBlock::new(&cfg, vb.clone()).unwrap();
    let separate = EncoderBlock::new(&unfused(&cfg), vb).unwrap();
    let depth = StochasticDepth::new(RATE, "drop_path").unwrap();
    let xs = Var::from_tensor(&numbers(&[3, 4, 6])).unwrap();
    let mut numbers_kept = BTreeSet::new();
    for seed in 0..40 {
        let mode = Mode::Train { seed };
        let skips = skipping(&depth, 3, seed);
        numbers_kept.insert(skips.iter().filter(|&&skips| !skips).count());
        let sample = |i: usize| -> Result<Tensor> {
            let x = xs.narrow(0, i, 1)?;
            match skips[i] {
                true => Ok(x),
                false => &x + ((separate.forward(&x, mode)? - &x)? / (1. - RATE))?,
            }
        };
        let samples: Result<Vec<_>> = (0..3).map(sample).collect();
        let expected = Tensor::cat(&samples.unwrap(), 0).unwrap();
        let found = depth
            .apply(&xs, mode, |xs| fused.forward(xs, mode))
            .unwrap();
        assert_close("output", &found, &expected, 1e-12);

        let found = scalar(&found).backward().unwrap();
        let expected = scalar(&expected).backward().unwrap();
        let all = parameters.trainable().into_iter();
        for (name, var) in all.chain([("xs".to_owned(), xs.clone())]) {
            match (found.get(&var), expected.get(&var)) {
                (Some(found), Some(expected)) => {
                    assert_close(&format!("{name}, seed {seed}"), found, expected, 1e-11);
                }
                (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "{name}"),
            }
        }
    }
    // Nobody, everybody and some.
    assert_eq!(numbers_kept, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (cfg, parameters) = (config(), parameters());
    let vit = Vit::new(&cfg, parameters.var_builder()).unwrap();
    let images = numbers(&[3, 1, 8, 8]);
    for seed in 0..3 {
        assert_gradients(&parameters.trainable(), || {
            Ok(vit.forward(&images, Mode::Train { seed })?.normed)
        });
    }
}

#[test]
fn impossible_rates_are_refused() {
    for rate in [-0.1, 1., f64::NAN] {
        let error = StochasticDepth::new(rate, "a").unwrap_err().to_string();
        assert!(error.contains("the rate is"), "{error}");
    }
}
