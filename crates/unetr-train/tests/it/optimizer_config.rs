//! Parameter groups and optimisers by name, against PyTorch; `tests/fixtures/torch_optim.py` made the
//! values.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use unetr_model::{Mode, Parameters, Unetr, UnetrConfig};
use unetr_ops::backward;
use unetr_train::{
    Adam, AdamConfig, DecayOn, Error, GroupRule, Loss as _, Optimizer, OptimizerConfig,
    ParameterGroups, Result, SumLoss, Training,
};

use crate::golden::{Golden, distance, largest};

const STEPS: u64 = 8;
const NAMES: [&str; 9] = [
    "vit.patch_embedding.position_embeddings",
    "vit.patch_embedding.patch_embeddings.weight",
    "vit.blocks.0.attn.qkv.weight",
    "vit.blocks.0.norm1.bias",
    "vit.blocks.1.mlp.linear1.weight",
    "vit.norm.weight",
    "encoder1.layer.conv1.conv.weight",
    "out.conv.conv.weight",
    "out.conv.conv.bias",
];

fn parameters(golden: &Golden, dtype: DType) -> Vec<(String, Var)> {
    golden.variables("params", &NAMES, dtype)
}

fn gradients(golden: &Golden, parameters: &[(String, Var)], step: u64) -> GradStore {
    golden.loss(parameters, step).backward().unwrap()
}

fn lr(step: u64) -> f64 {
    0.02 * (1. - step as f64 / 10.)
}

/// Makes all steps and compares the parameters with those of a run of PyTorch.
fn assert_equals_torch(
    key: &str,
    dtype: DType,
    bound: f64,
    build: impl Fn(Vec<(String, Var)>) -> Box<dyn Optimizer>,
) {
    let golden = Golden::open("torch_optim");
    let parameters = parameters(&golden, dtype);
    let mut optimizer = build(parameters.clone());
    for step in 0..STEPS {
        let gradients = gradients(&golden, &parameters, step);
        optimizer.step(&gradients, lr(step)).unwrap();
    }
    for (name, var) in &parameters {
        let expected = golden.get(&format!("{key}/{name}"));
        let deviation = distance(var, &expected) / largest(&expected);
        assert!(
            deviation <= bound,
            "{key}, {dtype:?}, {name}: {deviation:.2e}"
        );
    }
}

fn fine_tuning() -> ParameterGroups {
    ParameterGroups::default()
        .layer_decay(0.75)
        .rule(GroupRule::new("*").lr_factor(7.))
        .rule(GroupRule::new("*").lr_factor(1.))
        .rule(
            GroupRule::new("encoder1.*")
                .lr_factor(0.1)
                .weight_decay(0.2),
        )
        .rule(GroupRule::new("vit.patch_embedding.*").frozen())
        .rule(GroupRule::new("*.position_embeddings").trained())
}

#[test]
fn adam_with_groups_equals_pytorch() {
    let config = AdamConfig {
        weight_decay: 0.05,
        ..AdamConfig::default()
    };
    // Eight roundings of f32, 6e-8 each.
    for (dtype, bound) in [(DType::F64, 1e-13), (DType::F32, 5e-7)] {
        assert_equals_torch("groups", dtype, bound, |parameters| {
            Box::new(Adam::with_groups(parameters, config, &fine_tuning()).unwrap())
        });
    }
}

/// The optimisers of other crates with groups: an instance for each learning rate and decay.
#[test]
fn other_optimisers_with_groups_equal_pytorch() {
    let config: OptimizerConfig =
        serde_json::from_str(r#"{"kind": "candle_adamw", "weight_decay": 0.05}"#).unwrap();
    assert_equals_torch("groups", DType::F64, 1e-13, |parameters| {
        config.build(parameters, &fine_tuning()).unwrap()
    });
}

#[test]
fn every_kind_equals_pytorch() {
    for (key, data) in [
        ("sgd", r#""kind": "sgd""#),
        (
            "sgd_momentum",
            r#""kind": "sgd", "momentum": 0.9, "dampening": 0.1"#,
        ),
        (
            "sgd_nesterov",
            r#""kind": "sgd", "momentum": 0.9, "nesterov": true"#,
        ),
        ("nadam", r#""kind": "nadam""#),
        (
            "nadam_decoupled",
            r#""kind": "nadam", "decay": "decoupled""#,
        ),
        ("radam", r#""kind": "radam""#),
        ("adamax", r#""kind": "adamax""#),
        ("adagrad", r#""kind": "adagrad", "lr_decay": 0.1"#),
        ("adadelta", r#""kind": "adadelta""#),
        ("rmsprop", r#""kind": "rmsprop""#),
        (
            "rmsprop_momentum_centered",
            r#""kind": "rmsprop", "momentum": 0.9, "centered": true"#,
        ),
        ("adam_l2", r#""kind": "candle_adam""#),
        ("amsgrad", r#""kind": "candle_adam", "amsgrad": true"#),
        ("adamw", r#""kind": "candle_adamw""#),
        ("adamw", r#""kind": "adamw""#),
        ("adamw", r#""kind": "adam""#),
    ] {
        let data = format!(r#"{{{data}, "weight_decay": 0.05}}"#);
        let config: OptimizerConfig = serde_json::from_str(&data).unwrap();
        config.validate().unwrap();
        assert_equals_torch(key, DType::F64, 1e-12, |parameters| {
            config
                .build(parameters, &ParameterGroups::default())
                .unwrap()
        });
        let again = serde_json::to_string(&config).unwrap();
        assert_eq!(
            serde_json::from_str::<OptimizerConfig>(&again).unwrap(),
            config
        );
    }
}

fn network() -> (Unetr, Parameters, Tensor, Tensor) {
    network_with(&ParameterGroups::default())
}

/// Without gradients of what these groups freeze.
fn network_with(groups: &ParameterGroups) -> (Unetr, Parameters, Tensor, Tensor) {
    let parameters = Parameters::new(3, DType::F32, &Device::Cpu);
    let groups = groups.clone();
    parameters.freeze(move |name| groups.freezes(name));
    let cfg = UnetrConfig::tiny().with_image_size([32, 32]);
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let image: Vec<f32> = (0..3 * 32 * 32).map(|i| (i as f32 * 0.7).sin()).collect();
    let images = Tensor::from_vec(image, (1, 3, 32, 32), &Device::Cpu).unwrap();
    let label = |i: usize| u8::from((i / 32) % 32 > 12 && i % 32 > 9);
    let labels: Vec<u8> = (0..32 * 32).map(label).collect();
    let labels = Tensor::from_vec(labels, (1, 32, 32), &Device::Cpu).unwrap();
    (model, parameters, images, labels)
}

/// Values of parameters by name.
type Values = Vec<(String, Tensor)>;

/// The values of all parameters before and after three steps of `minimise` on one batch.
fn train(build: impl Fn(Vec<(String, Var)>) -> Box<dyn Optimizer>) -> (Values, Values) {
    train_network(network(), build)
}

fn train_network(
    (model, parameters, images, labels): (Unetr, Parameters, Tensor, Tensor),
    build: impl Fn(Vec<(String, Var)>) -> Box<dyn Optimizer>,
) -> (Values, Values) {
    let values = || {
        let copy = |(name, var): (String, Var)| (name, var.copy().unwrap());
        parameters.trainable().into_iter().map(copy).collect()
    };
    let before = values();
    let mut optimizer = build(parameters.trainable());
    for seed in 0..3 {
        let logits = model.forward(&images, Mode::Train { seed }).unwrap();
        let value = SumLoss::tutorial().compute(&logits, &labels).unwrap();
        optimizer.minimise(&value.total, 1e-3).unwrap();
    }
    (before, values())
}

#[test]
fn groups_with_a_factor_of_one_change_no_bit() {
    let config = AdamConfig {
        weight_decay: 0.05,
        ..AdamConfig::default()
    };
    let groups = ParameterGroups::default().layer_decay(1.).rule(
        GroupRule::new("*")
            .lr_factor(1.)
            .weight_decay(0.05)
            .trained(),
    );
    let (_, plain) = train(|vars| Box::new(Adam::new(vars, config).unwrap()));
    let (_, grouped) = train(|vars| Box::new(Adam::with_groups(vars, config, &groups).unwrap()));
    for ((name, a), (_, b)) in plain.iter().zip(&grouped) {
        assert_eq!(distance(a, b), 0., "{name}");
    }
}

/// Stochastic gradient descent with a momentum of 0.9, and copies of everything.
struct Formula(Vec<(Var, Tensor)>);

impl Optimizer for Formula {
    fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        for (var, velocity) in &mut self.0 {
            let gradient = gradients.get(var).unwrap().copy()?;
            *velocity = ((&*velocity * 0.9)? + gradient)?;
            var.set(&(var.as_tensor() - (&*velocity * lr)?)?)?;
        }
        Ok(())
    }

    fn state(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        Ok(None)
    }

    fn restore(&mut self, _: &BTreeMap<String, Tensor>) -> Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        "the formula".into()
    }
}

/// A momentum that shares its memory with a gradient would show here.
#[test]
fn momentum_over_a_whole_network_is_what_its_formula_says() {
    let config: OptimizerConfig =
        serde_json::from_str(r#"{"kind": "sgd", "momentum": 0.9}"#).unwrap();
    let (_, found) = train(|vars| config.build(vars, &ParameterGroups::default()).unwrap());
    let (_, expected) = train(|vars| {
        let zero = |(_, var): (String, Var)| {
            let zeros = var.zeros_like().unwrap().detach();
            (var, zeros)
        };
        Box::new(Formula(vars.into_iter().map(zero).collect()))
    });
    for ((name, a), (_, b)) in found.iter().zip(&expected) {
        assert!(distance(a, b) <= 1e-7, "{name}: {}", distance(a, b));
    }
}

#[test]
fn frozen_parameters_stay_and_have_no_state() {
    let groups = ParameterGroups::default().rule(GroupRule::new("vit.*").frozen());
    for data in [r#"{"kind": "adam"}"#, r#"{"kind": "sgd", "momentum": 0.9}"#] {
        let config: OptimizerConfig = serde_json::from_str(data).unwrap();
        let (before, after) = train(|vars| config.build(vars, &groups).unwrap());
        for ((name, a), (_, b)) in before.iter().zip(&after) {
            let moved = distance(a, b) > 0.;
            assert_eq!(moved, !name.starts_with("vit."), "{data}: {name}");
        }
    }
    // Nothing is different where their gradients are not computed at all.
    let build = |vars| OptimizerConfig::default().build(vars, &groups).unwrap();
    let (_, expected) = train(build);
    let (_, found) = train_network(network_with(&groups), build);
    for ((name, a), (_, b)) in expected.iter().zip(&found) {
        assert_eq!(distance(a, b), 0., "{name}");
    }
    let (model, parameters, images, labels) = network_with(&groups);
    let logits = model.forward(&images, Mode::Train { seed: 0 }).unwrap();
    let value = SumLoss::tutorial().compute(&logits, &labels).unwrap();
    let gradients = backward(&value.total).unwrap();
    let parameters = parameters.trainable();
    for (name, var) in &parameters {
        assert_eq!(
            gradients.get(var).is_none(),
            name.starts_with("vit."),
            "{name}"
        );
    }
    let adam = Adam::with_groups(parameters.clone(), AdamConfig::default(), &groups).unwrap();
    let state = adam.state().unwrap().unwrap();
    for (name, _) in &parameters {
        let kept = state.contains_key(&format!("moments.{name}"));
        assert_eq!(kept, !name.starts_with("vit."), "{name}");
    }
}

#[test]
fn the_names_of_the_network_have_the_layers_of_beit() {
    let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    let cfg = UnetrConfig::tiny();
    Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let parameters = parameters.trainable();
    let settings = ParameterGroups::default()
        .layer_decay(0.5)
        .settings(&parameters, 0.1)
        .unwrap();
    let blocks = cfg.layers as i32;
    for ((name, var), settings) in parameters.iter().zip(settings) {
        let block = name
            .strip_prefix("vit.blocks.")
            .map(|rest| rest.split('.').next().unwrap().parse::<i32>().unwrap());
        let steps = match block {
            Some(block) => blocks - block,
            None if name.starts_with("vit.patch_embedding.") => blocks + 1,
            None => 0,
        };
        assert_eq!(settings.lr_factor, 0.5f64.powi(steps), "{name}");
        let decays = var.rank() > 1 && name != "vit.patch_embedding.position_embeddings";
        assert_eq!(
            settings.weight_decay,
            if decays { 0.1 } else { 0. },
            "{name}"
        );
        assert_eq!(settings.training, Training::Trained, "{name}");
    }
}

#[test]
fn weight_decay_on_everything_is_a_choice() {
    let golden = Golden::open("torch_optim");
    let parameters = parameters(&golden, DType::F64);
    let groups: ParameterGroups = serde_json::from_str(r#"{"decay_on": "everything"}"#).unwrap();
    assert_eq!(groups.decay_on, DecayOn::Everything);
    let settings = groups.settings(&parameters, 0.1).unwrap();
    assert!(settings.iter().all(|settings| settings.weight_decay == 0.1));
}

#[test]
fn groups_that_make_no_sense_are_refused() {
    let golden = Golden::open("torch_optim");
    let parameters = parameters(&golden, DType::F32);
    let rule = |rule| ParameterGroups::default().rule(rule);
    for (groups, message) in [
        (
            rule(GroupRule::new("vti.*").frozen()),
            "the pattern \"vti.*\" matches none of 9 parameters; near it are: vit.*, ",
        ),
        (
            rule(GroupRule::new("vit.*").lr_factor(0.)),
            "lr_factor of the rule for \"vit.*\" is 0, expected a finite number above 0",
        ),
        (
            rule(GroupRule::new("vit.*").weight_decay(-1.)),
            "weight_decay of the rule for \"vit.*\" is -1, expected",
        ),
        (
            rule(GroupRule::new("vit.*")),
            "every setting of the rule for \"vit.*\" is left open, expected lr_factor,",
        ),
        (
            rule(GroupRule::new("*").frozen()),
            "the number of parameters to train is 0, all 9 are frozen",
        ),
        (
            ParameterGroups::default().layer_decay(1.5),
            "the layer decay is 1.5, expected more than 0 and at most 1",
        ),
    ] {
        let error = Adam::with_groups(parameters.clone(), AdamConfig::default(), &groups);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let decoder = parameters[6..].to_vec();
    let error = ParameterGroups::default()
        .layer_decay(0.75)
        .settings(&decoder, 0.)
        .unwrap_err();
    assert!(error.to_string().contains("vit.blocks.0"), "{error}");
    let unknown = r#"{"rules": [{"pattern": "*", "lr": 1}]}"#;
    let error = serde_json::from_str::<ParameterGroups>(unknown).unwrap_err();
    assert!(error.to_string().contains("unknown field `lr`"), "{error}");
}

#[test]
fn optimisers_that_make_no_sense_are_refused() {
    for (data, message) in [
        (
            r#"{"kind": "lbfgs", "history_size": 10}"#,
            "the optimizer is lbfgs, which evaluates the loss of one batch many times in a step, expected",
        ),
        (
            r#"{"kind": "nadam", "beta1": 1}"#,
            "beta1 of NAdam is 1, expected at least 0 and less than 1",
        ),
        (
            r#"{"kind": "rmsprop", "eps": -1}"#,
            "eps of RMSprop is -1, expected a finite number of at least 0",
        ),
        (
            r#"{"kind": "sgd", "nesterov": true}"#,
            "nesterov of SGD is true with momentum 0 and dampening 0",
        ),
        (r#"{"kind": "adamw", "beta2": 2}"#, "beta2 of Adam is 2"),
    ] {
        let config: OptimizerConfig = serde_json::from_str(data).unwrap();
        let error = config.validate().unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
        assert!(error.to_string().starts_with(message), "{error}");
        let built = config.build(Vec::new(), &ParameterGroups::default());
        assert_eq!(built.err().unwrap().to_string(), error.to_string());
    }
    for (data, message) in [
        (
            r#"{"kind": "sgd", "momentun": 0.9}"#,
            "unknown field `momentun`",
        ),
        (r#"{"kind": "lion"}"#, "unknown variant `lion`"),
    ] {
        let error = serde_json::from_str::<OptimizerConfig>(data).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_description_holds_what_a_resumed_run_has_to_share() {
    let golden = Golden::open("torch_optim");
    let describe = |data: &str, groups: &ParameterGroups| {
        let config: OptimizerConfig = serde_json::from_str(data).unwrap();
        let optimizer = config
            .build(parameters(&golden, DType::F32), groups)
            .unwrap();
        optimizer.describe()
    };
    let plain = ParameterGroups::default();
    // As checkpoints without groups have it.
    let adam = "Adam(betas 0.9 and 0.999, eps 1e-8, weight decay 0)";
    assert_eq!(describe(r#"{"kind": "adam"}"#, &plain), adam);
    assert_eq!(
        describe(r#"{"kind": "sgd", "momentum": 0.9}"#, &plain),
        "SGD(momentum 0.9, nesterov false, dampening 0, weight_decay 0, decay l2)"
    );
    assert_eq!(
        describe(r#"{"kind": "adam"}"#, &fine_tuning()),
        format!(
            "{adam} with layer decay 0.75; *: learning rate × 7; *: learning rate × 1; \
             encoder1.*: learning rate × 0.1, weight decay 0.2; vit.patch_embedding.*: frozen; \
             *.position_embeddings: trained"
        )
    );
}
