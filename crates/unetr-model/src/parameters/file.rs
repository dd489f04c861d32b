use std::collections::HashMap;
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor, pickle};
use safetensors::{Dtype, SafeTensors};

use super::report::is_ignored;
use crate::error::At;
use crate::files::write_aside;
use crate::{Error, Result};

/// What a file of weights holds, on the CPU.
pub(super) struct Weights {
    pub(super) tensors: HashMap<String, Tensor>,
    /// Names that other libraries write and no network reads, sorted.
    pub(super) ignored: Vec<String>,
}

/// Where checkpoints of PyTorch keep the tensors: at the top or below one of these.
const KEYS: [Option<&str>; 6] = [
    None,
    Some("state_dict"),
    Some("model"),
    Some("model_state_dict"),
    Some("teacher"),
    Some("student"),
];

/// Reads a checkpoint of PyTorch if the file's name says so, and safetensors otherwise.
pub(super) fn read(path: &Path) -> Result<Weights> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("pth" | "pt" | "ckpt" | "bin") => read_pickle(path),
        _ => read_safetensors(path),
    }
}

/// The tensors of real numbers of a pickle, of which nothing is executed.
fn read_pickle(path: &Path) -> Result<Weights> {
    std::fs::File::open(path).at(path)?;
    let unreadable = |reason: String| Error::Pickle {
        path: path.to_owned(),
        reason,
    };
    let mut reason = "no tensors".to_owned();
    for key in KEYS {
        let tensors = match pickle::read_all_with_key(path, key) {
            Ok(tensors) => tensors,
            Err(error) => {
                // What the first try says, which is not of a key.
                if key.is_none() {
                    reason = error.to_string();
                }
                continue;
            }
        };
        let is_real = |tensor: &Tensor| {
            matches!(
                tensor.dtype(),
                DType::F16 | DType::BF16 | DType::F32 | DType::F64
            )
        };
        let mut weights = Weights {
            tensors: HashMap::new(),
            ignored: Vec::new(),
        };
        for (name, tensor) in tensors {
            match is_ignored(&name) || !is_real(&tensor) {
                true => weights.ignored.push(name),
                false => drop(weights.tensors.insert(name, tensor)),
            }
        }
        if !weights.tensors.is_empty() {
            weights.ignored.sort_unstable();
            return Ok(weights);
        }
    }
    Err(unreadable(reason))
}

fn read_safetensors(path: &Path) -> Result<Weights> {
    let bytes = std::fs::read(path).at(path)?;
    let file = SafeTensors::deserialize(&bytes).at(path)?;
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
                    .map_err(|error| Error::from(error).in_file(path))?;
                tensors.insert(name.to_owned(), tensor);
            }
            found => {
                let (found, expected) = (format!("{found:?}"), "f16, bf16, f32 or f64".to_owned());
                let name = name.to_owned();
                return Err(Error::ParameterType {
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

pub(super) fn write(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<()> {
    let tensors = tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.to_device(&Device::Cpu)?)))
        .collect::<Result<Vec<_>>>()?;
    // Other libraries look here for the layout of the tensors.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    write_aside(path, |aside| {
        safetensors::serialize_to_file(tensors, Some(metadata), aside).at(path)
    })
}
