use std::collections::BTreeMap;

use candle_core::DType;

use super::Result;
use super::view::View;

/// The most entries of the dict that holds the tensors, tens of times those of the largest networks.
const ENTRIES: usize = 100_000;

/// The most bytes of a tensor's name or of a storage's.
const NAME: usize = 1024;

/// The place of a value among all of them.
pub(super) type Id = usize;

/// The place of everything that no tensor is found by, from floats to lists.
pub(super) const OTHER: Id = 0;

/// A value of a pickle.
///
/// It refers to others by their places, so that a value may occur often, or within itself, without being copied.
pub(super) enum Node {
    Other,
    Whole(i64),
    Text(String),
    Global(Global),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What has the attributes of a dict.
    Object(Id),
    /// Of numbers of this type if they are real, by the name of its entry.
    Storage(Option<DType>, Id),
    /// A tensor of a storage, by the arguments that make it.
    Tensor(Id),
    /// A tensor that has no storage of its own: sparse, quantised or of a type that has no name in old versions.
    OtherTensor,
}

/// A function or class that means something here.
#[derive(Clone, Copy)]
pub(super) enum Global {
    Dict,
    Module,
    Storage(Option<DType>),
    Tensor,
    OtherTensor,
    /// Gives its first argument, a tensor, as a parameter.
    Parameter,
    /// Calls its first argument with its third, and makes the tensor one of a class.
    Subclass,
}

impl Global {
    /// Source: `torch/_utils.py`, and `persistent_id` in `torch/serialization.py`.
    pub(super) fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Self::Dict,
            ("__torch__", "Module") => Self::Module,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::Parameter
            }
            ("torch._utils", name) if name.starts_with("_rebuild_") => Self::OtherTensor,
            ("torch._tensor", "_rebuild_from_type_v2") => Self::Subclass,
            (module, name) if module.starts_with("torch") && name.ends_with("Storage") => {
                Self::Storage(match name {
                    "HalfStorage" => Some(DType::F16),
                    "BFloat16Storage" => Some(DType::BF16),
                    "FloatStorage" => Some(DType::F32),
                    "DoubleStorage" => Some(DType::F64),
                    _ => None,
                })
            }
            _ => return None,
        })
    }
}

/// All values of a pickle.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) root: Id,
}

impl Tree {
    fn node(&self, id: Id) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::Other)
    }

    fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        let id = match *self.node(id) {
            Node::Object(attributes) => attributes,
            _ => id,
        };
        match self.node(id) {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The tensors of the dict at the top or below a key, sorted by name; `None` for those that are not of real numbers.
    pub(super) fn tensors(&self, key: Option<&str>) -> Result<Vec<(String, Option<View>)>> {
        let mut dict = self.dict(self.root);
        if let (Some(key), Some(entries)) = (key, dict) {
            let is_key = |id| matches!(self.node(id), Node::Text(text) if text == key);
            // The last one, as a key that is set again has its new value.
            let below = entries.iter().rev().find(|(id, _)| is_key(*id));
            dict = below.and_then(|(_, value)| self.dict(*value));
        }
        let entries = dict.unwrap_or_default();
        if entries.len() > ENTRIES {
            let found = entries.len();
            return Err(format!(
                "a dict of {found} entries, expected {ENTRIES} at most"
            ));
        }
        let mut tensors = BTreeMap::new();
        for &(name, value) in entries {
            let value = self.node(value);
            if let (Node::Text(name), Node::Tensor(_) | Node::OtherTensor) =
                (self.node(name), value)
            {
                if name.len() > NAME {
                    let found = name.len();
                    return Err(format!("a name of {found} bytes, expected {NAME} at most"));
                }
                tensors.insert(name, value);
            }
        }
        let tensors = tensors.into_iter().map(|(name, value)| {
            let view = match *value {
                Node::Tensor(arguments) => self.view(name, arguments)?,
                _ => None,
            };
            Ok((name.clone(), view))
        });
        tensors.collect()
    }

    /// What the arguments of `_rebuild_tensor_v2` say: storage, offset, shape, strides and what is for training.
    fn view(&self, name: &str, arguments: Id) -> Result<Option<View>> {
        let arguments = self.tuple(arguments).unwrap_or_default();
        let [storage, offset, shape, strides, ..] = *arguments else {
            let found = arguments.len();
            return Err(format!(
                "the tensor {name} is made of {found} arguments, expected 4 at least"
            ));
        };
        let (dtype, key) = match *self.node(storage) {
            Node::Storage(Some(dtype), key) => (dtype, key),
            Node::Storage(None, _) => return Ok(None),
            _ => return Err(format!("the tensor {name} has no storage")),
        };
        let key = match self.node(key) {
            Node::Text(key) if key.len() <= NAME => key.clone(),
            _ => return Err(format!("the storage of the tensor {name} has no name")),
        };
        let parts = (self.whole(offset), self.wholes(shape), self.wholes(strides));
        let (Some(offset), Some(shape), Some(strides)) = parts else {
            return Err(format!(
                "the tensor {name} has an offset, a shape or strides that are not whole numbers from 0"
            ));
        };
        View::new(name, key, dtype, offset, shape, strides).map(Some)
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    fn whole(&self, id: Id) -> Option<usize> {
        match *self.node(id) {
            Node::Whole(number) => usize::try_from(number).ok(),
            _ => None,
        }
    }

    /// The whole numbers of a tuple, up to one more than a tensor has dimensions.
    fn wholes(&self, id: Id) -> Option<Vec<usize>> {
        let items = self.tuple(id)?.iter().take(View::RANK + 1);
        items.map(|item| self.whole(*item)).collect()
    }
}
