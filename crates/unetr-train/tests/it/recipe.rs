use candle_core::{DType, Device};
use unetr_model::{Parameters, Unetr, UnetrConfig};
use unetr_train::{Error, GroupRule, OptimizerConfig, ParameterGroups, Recipe, Schedule, SumLoss};

#[test]
fn the_tutorials_is_the_tutorials() {
    let recipe = Recipe::tutorial();
    recipe.validate().unwrap();
    assert_eq!(
        recipe.schedule.schedule(3550).unwrap(),
        Schedule::tutorial(3550)
    );
    let built = format!("{:?}", recipe.loss.build().unwrap());
    assert_eq!(built, format!("{:?}", SumLoss::tutorial()));
    assert!(matches!(recipe.optimizer, OptimizerConfig::Adam(_)));
    assert_eq!((recipe.batch_size, recipe.trainer.epochs), (72, 50));
    Recipe::small().validate().unwrap();
}

#[test]
fn files_hold_recipes() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe::small();
    let json = folder.path().join("recipe.json");
    std::fs::write(&json, serde_json::to_vec(&recipe).unwrap()).unwrap();
    assert_eq!(Recipe::read(&json).unwrap(), recipe);
    // JSON has no infinity.
    let mut measured = recipe.clone();
    measured.trainer.clip_norm = Some(f64::INFINITY);
    std::fs::write(&json, serde_json::to_vec(&measured).unwrap()).unwrap();
    assert_eq!(Recipe::read(&json).unwrap(), measured);
    for (bound, expected) in [("inf", f64::INFINITY), ("1", 1.), ("0.5", 0.5)] {
        let read = Recipe::from_toml(&format!("trainer.clip_norm = {bound}")).unwrap();
        assert_eq!(read.trainer.clip_norm, Some(expected));
    }
    let toml = folder.path().join("recipe.toml");
    let text = "batch_size = 8\nloss = [{ kind = \"cross_entropy\" }, \
                { kind = \"tversky\", alpha = 1.0, beta = 1.0, region = \"batch\" }]\n\
                [optimizer]\nkind = \"muon\"\nweight_decay = 0.05\n\
                [schedule]\nkind = \"cosine\"\n[trainer]\nepochs = 30\neval_every = 4\nclip_norm = 1.0\n";
    std::fs::write(&toml, text).unwrap();
    assert_eq!(Recipe::read(&toml).unwrap(), recipe);

    for name in ["recipe.yaml", "recipe"] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let error = Recipe::read(&path).unwrap_err();
        assert!(
            error.to_string().contains("expected .toml or .json"),
            "{error}"
        );
    }
    for (text, parts) in [
        (
            r#"{"trainer": {"ema": {"dekay": 0.9}}}"#,
            ["trainer.ema", "dekay"],
        ),
        (
            r#"{"optimizer": {"kind": "adamm"}}"#,
            ["optimizer", "adamm"],
        ),
        (r#"{"batch_size": 8"#, ["recipe.json", "EOF"]),
        (
            r#"{"batch_size": 4}, "trainer": {"epochs": 3}}"#,
            ["recipe.json", "trailing"],
        ),
    ] {
        std::fs::write(&json, text).unwrap();
        let error = Recipe::read(&json).unwrap_err().to_string();
        assert!(error.contains("recipe.json"), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let error = Recipe::read(folder.path().join("none.toml")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn the_recipe_that_the_readme_shows_is_finetune() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, block) = readme.split_once("```toml\n").unwrap();
    let (recipe, _) = block.split_once("```").unwrap();
    assert_eq!(Recipe::from_toml(recipe).unwrap(), Recipe::finetune());
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    for (text, parts) in [
        ("[trainer.ema]\ndekay = 0.9", ["trainer.ema", "dekay"]),
        ("[trainer]\nepochs = \"many\"", ["trainer.epochs", "many"]),
        (
            "[trainer]\nclip_norm = [1]",
            ["trainer.clip_norm", "a number"],
        ),
        ("[optimizer]\nkind = \"adamm\"", ["optimizer", "adamm"]),
        (
            "[optimizer]\nkind = \"adamw\"\nweight = 1",
            ["optimizer", "weight"],
        ),
        ("loss = [{ kind = \"dise\" }]", ["loss", "dise"]),
        (
            "[groups]\nrules = [{ patern = \"vit.*\" }]",
            ["groups.rules[0]", "patern"],
        ),
        ("batch_size = ", ["the text", "1"]),
    ] {
        let error = Recipe::from_toml(text).unwrap_err();
        assert!(matches!(error, Error::Recipe { .. }), "{error}");
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn a_network_that_was_built_before_it_was_frozen_is_refused() {
    let groups = ParameterGroups::default().rule(GroupRule::new("vit.*").frozen());
    let recipe = Recipe {
        groups: groups.clone(),
        ..Recipe::small()
    };
    let parameters = Parameters::new(1, DType::F32, &Device::Cpu);
    let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).unwrap();
    let error = recipe.trainer(&model, &parameters, 4).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("vit.") && error.contains("Parameters::freeze"),
        "{error}"
    );

    let parameters = Parameters::new(1, DType::F32, &Device::Cpu);
    parameters.freeze(move |name| groups.freezes(name));
    let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).unwrap();
    recipe.trainer(&model, &parameters, 4).unwrap();
}

#[test]
fn what_makes_no_run_is_refused() {
    for (text, what) in [
        ("batch_size = 0", "batch_size is 0"),
        ("[checkpoints]\nevery_epochs = 0", "every_epochs"),
        ("[trainer]\nepochs = 0", "epochs"),
    ] {
        let error = Recipe::from_toml(text).and_then(|recipe| recipe.validate());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
