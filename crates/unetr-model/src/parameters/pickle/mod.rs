//! Checkpoints of PyTorch, as `torch.save` writes them: a zip file of a pickle and of the bytes of each storage.
//!
//! Nothing of the pickle is executed, and what reading takes is bounded by the length of the file. Candle's reader, made
//! for files one trusts, copies a value whenever the memo is asked for it, follows nested values recursively and
//! allocates what a shape says, so that a file of a few bytes can end the process.

mod archive;
mod input;
mod machine;
#[cfg(test)]
mod tests;
mod tree;
mod view;

use std::collections::HashMap;
use std::fs::File;

use candle_core::Tensor;

use self::archive::Archive;
use self::tree::Tree;
use self::view::View;

/// The result of what can be refused here, with the reason.
type Result<T> = std::result::Result<T, String>;

/// The most bytes of a pickle; it holds names and shapes alone, some 200 bytes for a tensor.
const PICKLE: u64 = 16 << 20;

/// How many times the length of the file all tensors may take: a few where layers share their weights, once else.
const COPIES: u64 = 4;

/// A checkpoint of which the pickle was read, and no tensor yet.
pub(super) struct Checkpoint {
    archive: Archive,
    tree: Tree,
}

impl Checkpoint {
    pub(super) fn open(file: File) -> Result<Self> {
        let mut archive = Archive::open(file)?;
        if archive.has("byteorder") {
            let order = archive.read("byteorder", 16)?;
            if order != b"little" {
                let order = String::from_utf8_lossy(&order);
                return Err(format!("its byte order is {order:?}, expected \"little\""));
            }
        }
        let pickle = archive.read("data.pkl", PICKLE)?;
        let tree = machine::run(&pickle)?;
        Ok(Self { archive, tree })
    }

    /// The tensors of the dict at the top or below a key, by name; `None` for those that are not of real numbers.
    pub(super) fn tensors(&self, key: Option<&str>) -> Result<Vec<(String, Option<View>)>> {
        self.tree.tensors(key)
    }

    /// Reads tensors, each storage once.
    pub(super) fn read(
        &mut self,
        mut views: Vec<(String, View)>,
    ) -> Result<HashMap<String, Tensor>> {
        let length = self.archive.length();
        let mut left = length.saturating_mul(COPIES);
        for (name, view) in &views {
            let rest = view.bytes().and_then(|bytes| left.checked_sub(bytes));
            left = rest.ok_or_else(|| {
                format!(
                    "the tensors take more than {COPIES} times the {length} bytes of the file, among them {name} of \
                     shape {:?}",
                    view.shape()
                )
            })?;
        }
        views.sort_by(|(_, a), (_, b)| a.key().cmp(b.key()));
        let mut tensors = HashMap::with_capacity(views.len());
        for views in views.chunk_by(|(_, a), (_, b)| a.key() == b.key()) {
            let Some((_, first)) = views.first() else {
                continue;
            };
            let storage = self
                .archive
                .read(&format!("data/{}", first.key()), u64::MAX)?;
            for (name, view) in views {
                tensors.insert(name.clone(), view.tensor(name, &storage)?);
            }
        }
        Ok(tensors)
    }
}
