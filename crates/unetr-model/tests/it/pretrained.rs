use candle_core::{DType, Device, Tensor};
use unetr_model::{Error, Mode, NormConfig, Parameters, Unetr, UnetrConfig};

use crate::fixture::distance;

fn saved(folder: &std::path::Path) -> (Unetr, Parameters) {
    let cfg = UnetrConfig {
        norm: NormConfig::BATCH_FLAX,
        ..UnetrConfig::tiny()
    };
    let parameters = Parameters::new(3, DType::F32, &Device::Cpu);
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    model.save(&parameters, folder).unwrap();
    (model, parameters)
}

#[test]
fn a_folder_is_enough_to_predict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let (model, parameters) = saved(&path);
    let (loaded, loaded_parameters) = Unetr::load(&path, &Device::Cpu).unwrap();
    assert_eq!(loaded.config(), model.config());
    assert_eq!(loaded_parameters.names(), parameters.names());
    let images = Tensor::ones((1, 3, 64, 64), DType::F32, &Device::Cpu).unwrap();
    let logits = model.forward(&images, Mode::Eval).unwrap();
    assert_eq!(
        distance(&loaded.forward(&images, Mode::Eval).unwrap(), &logits),
        0.
    );
}

#[cfg(unix)]
#[test]
fn what_is_written_replaces_a_link_and_leaves_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::write(&elsewhere, "mine").unwrap();
    for name in ["config.json", "config.json.part", "model.safetensors"] {
        std::os::unix::fs::symlink(&elsewhere, folder.path().join(name)).unwrap();
    }
    let parameters = Parameters::new(1, DType::F32, &Device::Cpu);
    let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).unwrap();
    model.save(&parameters, folder.path()).unwrap();
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "mine");
    Unetr::load(folder.path(), &Device::Cpu).unwrap();
    let count = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(count, 3, "nothing is left aside");
}

#[test]
fn weights_of_another_configuration_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _parameters) = saved(folder.path());
    let path = folder.path().join("config.json");
    let write = |cfg: UnetrConfig| cfg.write(&path).unwrap();
    let load = || {
        Unetr::load(folder.path(), &Device::Cpu)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };

    write(UnetrConfig {
        layers: 5,
        ..model.config().clone()
    });
    assert!(
        load().contains("model.safetensors: parameter vit.blocks.4.norm1.weight is missing"),
        "{}",
        load()
    );
    write(UnetrConfig {
        norm: NormConfig::INSTANCE,
        ..model.config().clone()
    });
    assert!(
        load().contains("model.safetensors: 42 unexpected (decoder2.conv_block"),
        "{}",
        load()
    );
    write(UnetrConfig {
        hidden_size: 32_768,
        mlp_size: 32_768,
        ..model.config().clone()
    });
    assert!(
        load().contains(
            "model.safetensors: parameter vit.patch_embedding.patch_embeddings.weight has shape"
        ),
        "{}",
        load()
    );

    std::fs::write(&path, r#"{"layers": "many"}"#).unwrap();
    let error = UnetrConfig::read(&path).unwrap_err();
    assert!(matches!(error, Error::Json { .. }), "{error}");
    std::fs::write(&path, r#"{"layers": 2}"#).unwrap();
    let error = UnetrConfig::read(&path).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("config.json: layers is 2, expected 4 or more: the decoder takes 4"),
        "{error}"
    );
}
