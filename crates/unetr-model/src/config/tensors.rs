//! What the tensors of a file tell of the transformer that they are of.

use std::collections::HashMap;

use candle_core::Tensor;

use super::UnetrConfig;

/// How many encoder blocks there are, by the names `vit.blocks.NUMBER…`.
pub(crate) fn layers(tensors: &HashMap<String, Tensor>) -> usize {
    let block = |name: &String| {
        let rest = name.strip_prefix("vit.blocks.")?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let last = tensors.keys().filter_map(block).max();
    last.map_or(0, |last| last.saturating_add(1))
}

/// Checks that the tensors can hold the transformer's matrices: shapes in a file's header alone can be of any size, and
/// a network of them would be allocated.
pub(crate) fn check_held(
    cfg: &UnetrConfig,
    tensors: &HashMap<String, Tensor>,
) -> Result<(), String> {
    let numbers: usize = tensors.values().map(Tensor::elem_count).sum();
    let [layers, hidden, mlp] =
        [cfg.layers, cfg.hidden_size, cfg.mlp_size].map(|size| size as u128);
    let expected = layers * (4 * hidden * hidden + 2 * hidden * mlp);
    if expected <= numbers as u128 {
        return Ok(());
    }
    Err(format!(
        "{numbers} numbers, and the matrices of {layers} layers with hidden size {hidden} and MLP size {mlp} are {expected}"
    ))
}
