use std::fs::read;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;
use unetr_ops::Gelu;

use crate::Error;

/// What weights do not tell of the network that they are of: from `config.json` beside them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Settings {
    /// Which tells whether they are those of these weights.
    pub(super) hidden: Option<usize>,
    pub(super) heads: Option<usize>,
    pub(super) gelu: Option<Gelu>,
    pub(super) layer_norm_eps: Option<f64>,
}

impl Settings {
    /// Those that `config.json` says, as `transformers` and timm write it.
    ///
    /// # Errors
    /// When it names an activation that this network has not.
    pub(super) fn of_json(json: &Value) -> Result<Self, Error> {
        let timm = json.get("model_args");
        let in_timm = |key: &str| timm.and_then(|arguments| arguments.get(key));
        let size = |value: &Value| value.as_u64().map(|size| size as usize);
        let hidden = json.get("hidden_size");
        let hidden = hidden.or_else(|| json.get("num_features"));
        let heads = json.get("num_attention_heads");
        let heads = heads.or_else(|| in_timm("num_heads"));
        let activation = json.get("hidden_act");
        let activation = activation.or_else(|| in_timm("act_layer"));
        Ok(Self {
            hidden: hidden.and_then(size),
            heads: heads.and_then(size),
            gelu: activation.and_then(Value::as_str).map(gelu).transpose()?,
            layer_norm_eps: json.get("layer_norm_eps").and_then(Value::as_f64),
        })
    }
}

/// What `config.json` beside a file of weights holds; null if there is none.
///
/// # Errors
/// When it cannot be read or is no JSON.
pub(super) fn config_beside(weights: &Path) -> Result<Value, Error> {
    let path = weights.with_file_name("config.json");
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Value::Null),
        Err(error) => return Err(Error::io(&path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Encoder(format!("config.json beside it: {error}")))
}

/// By the names of both libraries.
fn gelu(name: &str) -> Result<Gelu, Error> {
    match name {
        "gelu" | "gelu_python" => Ok(Gelu::Erf),
        "gelu_tanh" | "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Ok(Gelu::Tanh),
        _ => Err(Error::Encoder(format!(
            "config.json beside it: activation `{name}`, expected `gelu` or `gelu_pytorch_tanh`; move the weights elsewhere \
             if that file is about others"
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_libraries_say_what_weights_do_not() {
        let transformers = json!({
            "hidden_act": "gelu_new", "layer_norm_eps": 1e-6, "num_attention_heads": 6, "hidden_size": 96
        });
        let found = Settings {
            hidden: Some(96),
            heads: Some(6),
            gelu: Some(Gelu::Tanh),
            layer_norm_eps: Some(1e-6),
        };
        assert_eq!(Settings::of_json(&transformers).unwrap(), found);
        let timm = json!({"num_features": 80, "model_args": {"num_heads": 5, "act_layer": "gelu"}});
        let found = Settings {
            hidden: Some(80),
            heads: Some(5),
            gelu: Some(Gelu::Erf),
            layer_norm_eps: None,
        };
        assert_eq!(Settings::of_json(&timm).unwrap(), found);
        for nothing in [json!({}), json!([1]), json!({"num_attention_heads": "6"})] {
            assert_eq!(Settings::of_json(&nothing).unwrap(), Settings::default());
        }
        let error = Settings::of_json(&json!({"hidden_act": "silu"})).unwrap_err();
        assert!(error.to_string().contains("activation `silu`"), "{error}");
    }

    #[test]
    fn what_is_no_json_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("model.safetensors");
        let nothing = config_beside(&weights).unwrap();
        assert_eq!(Settings::of_json(&nothing).unwrap(), Settings::default());
        std::fs::write(folder.path().join("config.json"), "{").unwrap();
        let error = config_beside(&weights).unwrap_err().to_string();
        assert!(error.contains("config.json beside it: EOF"), "{error}");
    }
}
