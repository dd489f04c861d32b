//! Five updates of the whole network against the tutorial's code in Flax and Optax.

use candle_core::{DType, Device, Tensor};
use unetr_model::{Mode, Parameters, Unetr, UnetrConfig};
use unetr_train::{Adam, AdamConfig, Loss, Optimizer, Schedule, SumLoss};

use crate::golden::{Golden, distance, values};

fn small() -> UnetrConfig {
    UnetrConfig {
        image_size: [64, 64],
        feature_size: 4,
        hidden_size: 24,
        mlp_size: 48,
        heads: 4,
        ..UnetrConfig::tutorial()
    }
}

struct Run {
    /// Before each update and after the last: total, cross entropy, soft Jaccard.
    losses: Tensor,
    logits: Tensor,
    parameters: Parameters,
}

fn train(dtype: DType, eps: f64) -> Run {
    let start = Golden::open("unetr_small");
    let parameters = Parameters::from_tensors(start.network("params/"), dtype, &Device::Cpu);
    let model = Unetr::new(&small(), parameters.var_builder()).unwrap();
    let images = start.get("in/x").to_dtype(dtype).unwrap();
    let labels = start.labels("in/mask");
    let config = AdamConfig {
        eps,
        ..AdamConfig::default()
    };
    let mut adam = Adam::new(parameters.trainable(), config).unwrap();
    let schedule = Schedule::tutorial(10);
    let mut losses: Vec<Tensor> = Vec::new();
    for step in 0.. {
        let logits = model.forward(&images, Mode::Train { seed: 0 }).unwrap();
        let value = SumLoss::tutorial().compute(&logits, &labels).unwrap();
        let parts = [&value.total, &value.parts[0].1, &value.parts[1].1];
        losses.push(Tensor::stack(&parts.map(Tensor::detach), 0).unwrap());
        if step == 5 {
            let losses = Tensor::stack(&losses, 0).unwrap();
            let logits = logits.detach();
            return Run {
                losses,
                logits,
                parameters,
            };
        }
        let gradients = value.total.backward().unwrap();
        adam.step(&gradients, schedule.lr(step)).unwrap();
    }
    unreachable!()
}

/// How far every value of every parameter is from the reference, sorted. The keys' biases are left
/// out: their gradients are noise.
fn deviations(parameters: &Parameters, golden: &Golden) -> Vec<f64> {
    let expected = golden.network("x64/final_params/");
    assert_eq!(expected.len(), parameters.names().len());
    let mut deviations = Vec::new();
    for (name, var) in parameters.variables() {
        let (found, expected) = (values(&var), values(&expected[&name]));
        assert_eq!(found.len(), expected.len(), "{name}");
        let third = found.len() / 3;
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            if !(name.ends_with("qkv.bias") && (third..2 * third).contains(&i)) {
                deviations.push((found - expected).abs());
            }
        }
    }
    deviations.sort_by(f64::total_cmp);
    deviations
}

#[test]
fn five_updates_follow_the_tutorial() {
    let golden = Golden::open("unetr_train5");
    let run = train(DType::F32, 1e-8);
    let deviation = distance(&run.losses, &golden.reference("losses"));
    assert!(deviation <= 1e-4, "losses: {deviation:.2e}");
    let deviations = deviations(&run.parameters, &golden);
    let most = deviations[deviations.len() * 99 / 100];
    assert!(most <= 5e-4, "99 % of the parameters: {most:.2e}");
}

/// With an epsilon that does not amplify noise nothing but rounding is left in f64.
#[test]
fn five_updates_in_f64_are_exact() {
    let golden = Golden::open("unetr_train5_eps1e-3");
    let run = train(DType::F64, 1e-3);
    let deviation = distance(&run.losses, &golden.reference("losses"));
    assert!(deviation <= 1e-6, "losses: {deviation:.2e}");
    let deviations = deviations(&run.parameters, &golden);
    let (median, most) = (
        deviations[deviations.len() / 2],
        deviations[deviations.len() - 1],
    );
    assert!(
        median <= 9e-7 && most <= 9e-5,
        "parameters: {median:.2e}, {most:.2e}"
    );
    let deviation = distance(&run.logits, &golden.reference("final_logits"));
    assert!(deviation <= 1e-3, "logits: {deviation:.2e}");
}
