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
    /// Names of what is no tensor of real numbers, which only other libraries write.
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

/// The tensors of real numbers of a pickle, of which nothing is executed: those at the top, or below the first key that
/// has more of them.
fn read_pickle(path: &Path) -> Result<Weights> {
    let file = std::fs::File::open(path).at(path)?;
    let unreadable = |reason| Error::Pickle {
        path: path.to_owned(),
        reason,
    };
    let mut checkpoint = Checkpoint::open(file).map_err(unreadable)?;
    let (mut views, mut ignored, mut reason) = (Vec::new(), Vec::new(), None);
    for key in KEYS {
        let found = match checkpoint.tensors(key) {
            Ok(found) => found,
            Err(error) => {
                reason = reason.or(Some(error));
                continue;
            }
        };
        let (real, other): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(_, view)| view.is_some());
        if real.len() > views.len() {
            views = real;
            ignored = other.into_iter().map(|(name, _)| name).collect();
            if key.is_some() {
                break;
            }
        }
    }
    if views.is_empty() {
        let reason = reason.unwrap_or_else(|| "no tensors".to_owned());
        return Err(unreadable(reason));
    }
    let views = views
        .into_iter()
        .filter_map(|(name, view)| Some((name, view?)));
    let tensors = checkpoint.read(views.collect()).map_err(unreadable)?;
    Ok(Weights { tensors, ignored })
}

fn read_safetensors(path: &Path) -> Result<Weights> {
    let bytes = std::fs::read(path).at(path)?;
    let file = SafeTensors::deserialize(&bytes).at(path)?;
    let (mut tensors, mut ignored) = (HashMap::new(), Vec::new());
    for (name, view) in file.iter() {
        match view.dtype() {
            Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => {
                let tensor = view
                    .load(&Device::Cpu)
                    .map_err(|error| Error::from(error).in_file(path))?;
                tensors.insert(name.to_owned(), tensor);
            }
            _ if is_ignored(name) => ignored.push(name.to_owned()),
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
