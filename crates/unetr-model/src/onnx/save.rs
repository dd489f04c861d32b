use std::path::Path;

use prost::Message;

use super::network::network;
use super::proto::{Model, OperatorSet, Property};
use crate::error::At;
use crate::files::write_whole;
use crate::{Error, OnnxConfig, Parameters, Unetr, UnetrConfig};

/// The first version of the standard operators with `LayerNormalization`, and its format.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// What readers of the format take at most: sizes are of 32 bits with a sign.
const LARGEST: usize = i32::MAX as usize;

impl Unetr {
    /// Writes the network as ONNX: one file with the graph of an evaluation and the parameters in f32,
    /// which onnxruntime and others run.
    ///
    /// The size of the batch is free. Parameters keep their names; the matrices of linear layers are
    /// transposed, as `MatMul` takes them. Auxiliary heads are left out, because only training uses them. The metadata
    /// hold the configuration (`config`) and the options (`onnx`) as JSON. Writing takes memory of about
    /// twice the file.
    ///
    /// # Errors
    /// When the options are not valid, `parameters` are not those of the network, they are more than the
    /// 2 GB that the format holds, or the file cannot be written; what was there is then as it was.
    ///
    /// # Examples
    /// ```
    /// use candle_core::{DType, Device};
    /// use unetr_model::{OnnxConfig, Parameters, Unetr, UnetrConfig};
    ///
    /// let parameters = Parameters::new(42, DType::F32, &Device::Cpu);
    /// let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder())?;
    /// let path = std::env::temp_dir().join("unetr-model-tiny.onnx");
    /// model.save_onnx(&parameters, &OnnxConfig::default(), &path)?;
    /// assert!(path.metadata()?.len() > 4 * parameters.count() as u64);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save_onnx(
        &self,
        parameters: &Parameters,
        options: &OnnxConfig,
        path: impl AsRef<Path>,
    ) -> Result<(), Error> {
        let path = path.as_ref();
        let cfg = self.config();
        options.validate(cfg.in_channels)?;
        check_size(4 * parameters.count()).map_err(|error| error.in_file(path))?;
        let model = model(cfg, parameters, options, path)?;
        check_size(model.encoded_len()).map_err(|error| error.in_file(path))?;
        let bytes = model.encode_to_vec();
        drop(model);
        write_whole(path, &bytes)
    }
}

fn model(
    cfg: &UnetrConfig,
    parameters: &Parameters,
    options: &OnnxConfig,
    path: &Path,
) -> Result<Model, Error> {
    let property = |key: &str, value| Property {
        key: key.to_owned(),
        value,
    };
    Ok(Model {
        ir_version: IR_VERSION,
        producer_name: "unetr".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(network(cfg, parameters, options)?),
        opset_import: vec![OperatorSet {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: vec![
            property("config", serde_json::to_string(cfg).at(path)?),
            property("onnx", serde_json::to_string(options).at(path)?),
        ],
    })
}

fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes <= LARGEST {
        return Ok(());
    }
    Err(Error::OnnxSize { found: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_too_large_for_the_format_is_refused() {
        assert!(check_size(LARGEST).is_ok());
        let error = check_size(LARGEST + 1).map_err(|error| error.in_file(Path::new("huge.onnx")));
        let expected = "huge.onnx: an ONNX file of 2147483648 bytes is not possible, \
                        the format holds 2147483647; make the network smaller";
        assert!(error.is_err_and(|error| error.to_string() == expected));
    }
}
