use std::collections::HashMap;
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::pickle::Checkpoint;
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
    let file = std::fs::File::open(path).at(path)?;
    let unreadable = |reason| Error::Pickle {
        path: path.to_owned(),
        reason,
    };
    let mut checkpoint = Checkpoint::open(file).map_err(unreadable)?;
    let mut reason = None;
    for key in KEYS {
        match read_below(&mut checkpoint, key) {
            Ok(weights) if weights.tensors.is_empty() => {}
            Ok(weights) => return Ok(weights),
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    Err(unreadable(
        reason.unwrap_or_else(|| "no tensors".to_owned()),
    ))
}

fn read_below(checkpoint: &mut Checkpoint, key: Option<&str>) -> Result<Weights, String> {
    let (mut views, mut ignored) = (Vec::new(), Vec::new());
    for (name, view) in checkpoint.tensors(key)? {
        match view {
            Some(view) if !is_ignored(&name) => views.push((name, view)),
            _ => ignored.push(name),
        }
    }
    let tensors = checkpoint.read(views)?;
    Ok(Weights { tensors, ignored })
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
