use std::collections::HashMap;
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{Device, Tensor, Var};
use safetensors::{Dtype, SafeTensors};

use super::report::is_ignored;
use crate::ModelError;

/// What a file of weights holds, on the CPU.
pub(super) struct Weights {
    pub(super) tensors: HashMap<String, Tensor>,
    /// Names that other libraries write and no network reads, sorted.
    pub(super) ignored: Vec<String>,
}

pub(super) fn read(path: &Path) -> Result<Weights, ModelError> {
    let io = |source| ModelError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::read(path).map_err(io)?;
    let invalid = |source| ModelError::SafeTensors {
        path: path.to_owned(),
        source,
    };
    let file = SafeTensors::deserialize(&bytes).map_err(invalid)?;
    let (mut tensors, mut ignored) = (HashMap::new(), Vec::new());
    for (name, view) in file.iter() {
        if is_ignored(name) {
            ignored.push(name.to_owned());
            continue;
        }
        match view.dtype() {
            Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => {
                let tensor = view
                    .load(&Device::Cpu)
                    .map_err(|error| ModelError::from(error).in_file(path))?;
                tensors.insert(name.to_owned(), tensor);
            }
            found => {
                let (found, expected) = (format!("{found:?}"), "f16, bf16, f32 or f64".to_owned());
                let name = name.to_owned();
                return Err(ModelError::ParameterType {
                    name,
                    found,
                    expected,
                }
                .in_file(path));
            }
        }
    }
    ignored.sort_unstable();
    Ok(Weights { tensors, ignored })
}

pub(super) fn write(path: &Path, variables: &[(String, Var)]) -> Result<(), ModelError> {
    let tensors = variables
        .iter()
        .map(|(name, var)| Ok((name, var.as_detached_tensor().to_device(&Device::Cpu)?)))
        .collect::<Result<Vec<_>, ModelError>>()?;
    // Other libraries look here for the layout of the tensors.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path).map_err(|source| {
        ModelError::SafeTensors {
            path: path.to_owned(),
            source,
        }
    })
}
