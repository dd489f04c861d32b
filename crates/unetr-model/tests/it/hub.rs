//! The Hugging Face hub, which a server on this machine plays. Downloads need the feature `hub`, which
//! `cargo test --workspace` turns on, and `cargo test -p unetr-model --features hub`.

use candle_core::{DType, Device};
use unetr_model::hub::Hub;
use unetr_model::{Error, Parameters, Unetr, UnetrConfig};

/// Writes a network and returns it.
fn save(folder: &std::path::Path) -> Parameters {
    let parameters = Parameters::new(5, DType::F32, &Device::Cpu);
    let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).unwrap();
    model.save(&parameters, folder).unwrap();
    parameters
}

#[test]
fn a_folder_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = save(folder.path());
    let source = folder.path().to_str().unwrap();
    let (_, loaded) = Unetr::from_pretrained(source, &Device::Cpu).unwrap();
    assert_eq!(loaded.names(), parameters.names());
}

#[test]
fn what_is_neither_a_folder_nor_an_id_is_told_both() {
    let error = Unetr::from_pretrained("runs/none/best", &Device::Cpu).unwrap_err();
    assert_eq!(
        error.to_string(),
        "runs/none/best: neither a folder nor an id of the Hugging Face hub; expected a folder with config.json and \
         model.safetensors, or an id such as owner/name or owner/name@revision"
    );
    assert!(matches!(error, Error::Source { .. }));
}

#[test]
fn offline_the_error_says_what_to_download() {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new(cache.path()).offline();
    let error = hub.load_unetr("owner/name@v1", &Device::Cpu).unwrap_err();
    let url = "https://huggingface.co/owner/name/resolve/v1";
    assert_eq!(
        error.to_string(),
        format!(
            "owner/name@v1: no such folder, and its files are not all in the cache {}: nothing is downloaded while \
             the hub is offline; unset `HF_HUB_OFFLINE`, or do without `Hub::offline`, or download {url}/config.json \
             and {url}/model.safetensors into a folder and give its path",
            cache.path().display()
        )
    );
}

#[cfg(not(feature = "hub"))]
#[test]
fn without_the_feature_the_error_names_it() {
    let cache = tempfile::tempdir().unwrap();
    let error = Hub::new(cache.path())
        .load_encoder("owner/name")
        .unwrap_err();
    let message = error.to_string();
    assert!(message.contains("feature `hub`"), "{message}");
    assert!(
        message.contains("/owner/name/resolve/main/model.safetensors"),
        "{message}"
    );
}

/// Without the feature too.
#[test]
fn what_another_program_put_into_the_cache_is_used() {
    let cache = tempfile::tempdir().unwrap();
    let commit = "0123456789012345678901234567890123456789";
    let repository = cache.path().join("models--owner--name");
    save(&repository.join("snapshots").join(commit));
    let hub = Hub::new(cache.path()).offline();
    hub.load_unetr(&format!("owner/name@{commit}"), &Device::Cpu)
        .unwrap();
    assert!(hub.load_unetr("owner/name", &Device::Cpu).is_err());
    std::fs::create_dir(repository.join("refs")).unwrap();
    std::fs::write(repository.join("refs/main"), commit).unwrap();
    hub.load_unetr("owner/name", &Device::Cpu).unwrap();
}

#[cfg(feature = "hub")]
mod downloads {
    use std::path::Path;

    use unetr_model::PixelStatistics;
    use unetr_model::hub::Hub;

    use super::save;
    use crate::fixture::file;
    use crate::hub_server::HubServer;
    use candle_core::Device;

    #[test]
    fn a_network_is_downloaded_once() {
        let (repository, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let parameters = save(repository.path());
        let server = HubServer::start("owner/name", repository.path());
        let hub = Hub::new(cache.path()).with_endpoint(server.address());
        let (_, loaded) = hub.load_unetr("owner/name", &Device::Cpu).unwrap();
        assert_eq!(loaded.names(), parameters.names());

        let error = hub.load_unetr("owner/other@v2", &Device::Cpu).unwrap_err();
        let message = error.to_string();
        let url = format!("{}/owner/other/resolve/v2/config.json", server.address());
        assert!(
            message.contains(&format!("{url} gave status 404; check the name")),
            "{message}"
        );

        let asked = server.stop();
        assert!(asked.iter().any(|path| path.ends_with("model.safetensors")));
        hub.load_unetr("owner/name", &Device::Cpu).unwrap();
        let error = hub.load_unetr("owner/another", &Device::Cpu).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("could not be downloaded (")
                && message.contains("/owner/another/resolve/main/model.safetensors into a folder"),
            "{message}"
        );
    }

    fn encoder(weights: &str, name: &str, more: &[(&str, &str)]) -> tempfile::TempDir {
        let repository = tempfile::tempdir().unwrap();
        std::fs::copy(file(weights), repository.path().join(name)).unwrap();
        for (name, text) in more {
            std::fs::write(repository.path().join(name), text).unwrap();
        }
        repository
    }

    /// Loads an encoder, and again without a server.
    fn load(repository: &Path, id: &str) -> (Option<PixelStatistics>, Vec<String>) {
        let cache = tempfile::tempdir().unwrap();
        let server = HubServer::start(id, repository);
        let hub = Hub::new(cache.path()).with_endpoint(server.address());
        let statistics = hub.load_encoder(id).unwrap().pixel_statistics();
        let first = server.asked().len();
        hub.load_encoder(id).unwrap();
        let asked = server.stop();
        assert_eq!(asked.len(), first, "the second time asked again: {asked:?}");
        assert_eq!(hub.load_encoder(id).unwrap().pixel_statistics(), statistics);
        (statistics, asked)
    }

    #[test]
    fn an_encoder_comes_with_what_says_how_its_photos_were_normalised() {
        let config = r#"{"pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}}"#;
        let repository = encoder(
            "vit_transformers.safetensors",
            "model.safetensors",
            &[("config.json", config)],
        );
        let (statistics, asked) = load(repository.path(), "timm/vit_tiny");
        assert_eq!(statistics.unwrap().mean, [0.1, 0.2, 0.3]);
        // The first by the branch, the others by its commit.
        assert!(asked[0].ends_with("/timm/vit_tiny/resolve/main/model.safetensors"));
        assert!(
            asked.last().unwrap().contains("/resolve/c0ffee"),
            "{asked:?}"
        );
    }

    #[test]
    fn a_repository_may_have_a_pickle_alone() {
        let repository = encoder("vit_timm.pth", "pytorch_model.bin", &[]);
        let (statistics, _) = load(repository.path(), "facebook/dino-vits16");
        assert_eq!(statistics, Some(PixelStatistics::IMAGENET));
    }
}
