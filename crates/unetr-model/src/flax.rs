//! Weights of the tutorial's Flax model.
//!
//! Flax NNX names a parameter by its path, `encoder2/blocks/0/layers/0/kernel`, and lays tensors
//! out for channels-last images. [`convert`] maps a flat tree of such names to this crate's:
//!
//! | Flax | here | layout |
//! | --- | --- | --- |
//! | `Conv` kernel | `….conv.weight` | `[h, w, in, out]` → `[out, in, h, w]` |
//! | `ConvTranspose` kernel | `….conv.weight` | `[h, w, in, out]` → `[in, out, h, w]`, turned by 180°: Flax does not flip it |
//! | `Linear` kernel | `….weight` | transposed |
//! | `attn/{query,key,value}` kernels `[hidden, heads, head]` | `attn.qkv.weight` `[3·hidden, hidden]` | transposed, concatenated |
//! | `attn/out` kernel `[heads, head, hidden]` | `attn.out_proj.weight` | transposed |
//! | norm `scale`, `bias` | `weight`, `bias` | |
//! | BatchNorm `mean`, `var` | `running_mean`, `running_var` | |
//! | `mlp/layers/0`, `mlp/layers/3` | `mlp.linear1`, `mlp.linear2` | |
//! | `conv_norm_act1`, `conv_norm2`, `conv_norm3` | `conv1.conv` + `norm1`, `conv2.conv` + `norm2`, … | |
//! | `out` | `out.conv.conv` | |
//!
//! The mapping is linear and moves numbers only, so it converts gradients and moments of an
//! optimiser as well. It needs no complete tree, except that queries, keys and values come together.
//!
//! Source: <https://flax.readthedocs.io/en/stable/api_reference/flax.nnx/index.html>

use std::collections::HashMap;

use candle_core::Tensor;

use crate::Error;

/// Converts a flat Flax tree, `{"vit/norm/scale": …}`, to this crate's names and layouts.
///
/// # Errors
/// When a name is no parameter of the network, a tensor has not the rank its name promises, or one
/// of query, key and value is missing.
///
/// # Examples
/// ```
/// use std::collections::HashMap;
///
/// use candle_core::{DType, Device, Tensor};
///
/// let kernel = Tensor::zeros((1, 1, 16, 3), DType::F32, &Device::Cpu)?;
/// let tree = HashMap::from([("out/kernel".to_owned(), kernel)]);
/// let converted = unetr_model::flax::convert(&tree)?;
/// assert_eq!(converted["out.conv.conv.weight"].dims(), [3, 16, 1, 1]);
/// # Ok::<(), unetr_model::Error>(())
/// ```
pub fn convert(tree: &HashMap<String, Tensor>) -> Result<HashMap<String, Tensor>, Error> {
    let mut converted = HashMap::with_capacity(tree.len());
    for (name, tensor) in tree {
        let unknown = || Error::FlaxName { name: name.clone() };
        let path: Vec<&str> = name.split('/').collect();
        let target = match *path {
            ["vit", "patch_embedding", "position_embeddings"] => {
                converted.insert(path.join("."), tensor.clone());
                continue;
            }
            [ref attention @ .., "key" | "value", leaf] => {
                // They are part of what the query becomes.
                let query = format!("{}/query/{leaf}", attention.join("/"));
                if tree.contains_key(&query) {
                    continue;
                }
                return Err(Error::MissingParameter { name: query });
            }
            [ref module @ .., leaf] => {
                let (module, layout) = rename(module).ok_or_else(unknown)?;
                let leaf = rename_leaf(leaf, layout).ok_or_else(unknown)?;
                (format!("{module}.{leaf}"), layout, leaf)
            }
            [] => return Err(unknown()),
        };
        let (target, layout, leaf) = target;
        let value = match (layout, leaf) {
            (Layout::Query, _) => packed(tree, name, leaf)?,
            (_, "weight") => layout.weight(name, tensor)?,
            _ => tensor.clone(),
        };
        converted.insert(target, value);
    }
    Ok(converted)
}

/// How a module's parameters are laid out in Flax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Convolution,
    Transposed,
    Linear,
    Query,
    AttentionOutput,
    Norm,
}

impl Layout {
    /// The kernel or scale in this crate's layout.
    fn weight(self, name: &str, tensor: &Tensor) -> Result<Tensor, Error> {
        let (rank, expected) = match self {
            Self::Convolution | Self::Transposed => (4, "[height, width, in, out]"),
            Self::Linear => (2, "[in, out]"),
            Self::Query => (3, "[hidden, heads, head]"),
            Self::AttentionOutput => (3, "[heads, head, hidden]"),
            Self::Norm => (1, "[channels]"),
        };
        if tensor.rank() != rank {
            let (name, found) = (name.to_owned(), tensor.dims().to_vec());
            return Err(Error::FlaxShape {
                name,
                found,
                expected,
            });
        }
        let weight = match self {
            Self::Convolution => tensor.permute((3, 2, 0, 1))?,
            Self::Transposed => tensor.flip(&[0, 1])?.permute((2, 3, 0, 1))?,
            Self::Linear => tensor.t()?,
            Self::Query => tensor.flatten_from(1)?.t()?,
            Self::AttentionOutput => tensor.flatten_to(1)?.t()?,
            Self::Norm => tensor.clone(),
        };
        Ok(weight.contiguous()?)
    }
}

/// Query, key and value, of which `query` names the first, as one tensor.
fn packed(tree: &HashMap<String, Tensor>, query: &str, leaf: &str) -> Result<Tensor, Error> {
    let parts = ["query", "key", "value"].map(|part| {
        let name = query.replace("/query/", &format!("/{part}/"));
        match tree.get(&name) {
            Some(tensor) if leaf == "weight" => Layout::Query.weight(&name, tensor),
            Some(tensor) => Ok(tensor.flatten_all()?),
            None => Err(Error::MissingParameter { name }),
        }
    });
    let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::cat(&parts, 0)?)
}

fn rename_leaf(leaf: &str, layout: Layout) -> Option<&'static str> {
    match (leaf, layout) {
        ("kernel", Layout::Norm) => None,
        ("kernel", _) | ("scale", Layout::Norm) => Some("weight"),
        ("bias", _) => Some("bias"),
        ("mean", Layout::Norm) => Some("running_mean"),
        ("var", Layout::Norm) => Some("running_var"),
        _ => None,
    }
}

fn rename(module: &[&str]) -> Option<(String, Layout)> {
    let (name, layout) = match *module {
        ["out"] => ("out.conv.conv".to_owned(), Layout::Convolution),
        ["vit", "norm"] => ("vit.norm".to_owned(), Layout::Norm),
        ["vit", "patch_embedding", "patch_embeddings"] => (module.join("."), Layout::Convolution),
        ["vit", "blocks", block, ref inner @ ..] => {
            let (inner, layout) = match *inner {
                ["norm1"] => ("norm1", Layout::Norm),
                ["norm2"] => ("norm2", Layout::Norm),
                ["mlp", "layers", "0"] => ("mlp.linear1", Layout::Linear),
                ["mlp", "layers", "3"] => ("mlp.linear2", Layout::Linear),
                ["attn", "query"] => ("attn.qkv", Layout::Query),
                ["attn", "out"] => ("attn.out_proj", Layout::AttentionOutput),
                _ => return None,
            };
            (format!("vit.blocks.{block}.{inner}"), layout)
        }
        [stage, transposed @ ("transp_conv_init" | "transp_conv")] => {
            (format!("{stage}.{transposed}.conv"), Layout::Transposed)
        }
        [stage, "blocks", block, "layers", "0"] => {
            (format!("{stage}.blocks.{block}.0.conv"), Layout::Transposed)
        }
        [stage, "blocks", block, "layers", "1", conv, "layers", layer] => {
            rename_conv(&format!("{stage}.blocks.{block}.1"), conv, layer)?
        }
        [
            stage,
            inner @ ("layer" | "conv_block"),
            conv,
            "layers",
            layer,
        ] => rename_conv(&format!("{stage}.{inner}"), conv, layer)?,
        _ => return None,
    };
    Some((name, layout))
}

/// Layer 0 of a convolution with normalisation is the convolution, layer 1 the normalisation.
fn rename_conv(block: &str, conv: &str, layer: &str) -> Option<(String, Layout)> {
    let i = match conv {
        "conv_norm_act1" => 1,
        "conv_norm2" => 2,
        "conv_norm3" => 3,
        _ => return None,
    };
    match layer {
        "0" => Some((format!("{block}.conv{i}.conv"), Layout::Convolution)),
        "1" => Some((format!("{block}.norm{i}"), Layout::Norm)),
        _ => None,
    }
}
