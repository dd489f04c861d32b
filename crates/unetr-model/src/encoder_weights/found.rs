use std::collections::HashMap;

use candle_core::Tensor;

use super::names::{Place, Scheme};
use crate::Error;

/// What a file has of an encoder.
pub(super) struct Found {
    /// By this crate's names.
    pub(super) tensors: HashMap<String, Tensor>,
    /// Embeddings of tokens and patches.
    pub(super) positions: Option<Tensor>,
    /// Tokens before the patches.
    pub(super) prefix: usize,
    /// Names of what this network has no use for.
    pub(super) left_out: Vec<String>,
}

impl Found {
    /// # Errors
    /// When there is a parameter that blocks of this network have no place for, one twice, or a part of one.
    pub(super) fn new(file: HashMap<String, Tensor>, scheme: Scheme) -> Result<Self, Error> {
        let of_teacher = file.keys().any(|name| name.starts_with("teacher."));
        let mut found = Self {
            tensors: HashMap::new(),
            positions: None,
            prefix: 0,
            left_out: Vec::new(),
        };
        let mut thirds = HashMap::<_, [Option<Tensor>; 3]>::new();
        let (mut twice, mut foreign) = (Vec::new(), Vec::new());
        for (name, tensor) in file {
            let place = match scheme.place(&name) {
                _ if of_teacher && name.starts_with("student.") => Place::Nowhere,
                place => place,
            };
            let before = match place {
                Place::Parameter(own) => found.tensors.insert(own, tensor),
                Place::Third(own, part) => thirds.entry(own).or_default()[part].replace(tensor),
                Place::Positions => found.positions.replace(tensor),
                Place::Tokens => {
                    let tokens = tensor.dims().iter().rev().nth(1).copied();
                    found.prefix = tokens.unwrap_or(1).saturating_add(found.prefix);
                    found.left_out.push(name);
                    continue;
                }
                Place::Nowhere => {
                    found.left_out.push(name);
                    continue;
                }
                Place::Foreign => {
                    foreign.push(name);
                    continue;
                }
            };
            if before.is_some() {
                twice.push(name);
            }
        }
        if let Some(name) = twice.iter().min() {
            return Err(Error::Encoder(format!(
                "`{name}` is there twice, below different prefixes, expected one network; save the one you want alone"
            )));
        }
        if let Some(name) = foreign.iter().min() {
            return Err(Error::Encoder(format!(
                "this network has no place for `{name}` ({} such parameters), expected those of a plain Vision Transformer",
                foreign.len()
            )));
        }
        for (name, parts) in thirds {
            let [Some(query), Some(key), Some(value)] = parts else {
                return Err(Error::MissingParameter { name });
            };
            let whole = Tensor::cat(&[query, key, value], 0)?;
            found.tensors.insert(name, whole);
        }
        Ok(found)
    }
}
