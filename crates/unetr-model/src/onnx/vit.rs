//! The Vision Transformer as nodes, block by block as in `crate::blocks`.

use super::graph::Value;
use super::layers::{gelu, layer_norm, linear, patch_conv};
use super::scope::{Attribute, Scope};
use crate::{Bias, Error, PatchProjection, VitConfig};

/// The transformer: the output of every block, and the last one normalised.
pub(super) fn vit(
    mut scope: Scope<'_, '_>,
    images: &Value,
    cfg: &VitConfig,
) -> Result<(Vec<Value>, Value), Error> {
    let mut xs = patch_embedding(scope.pp("patch_embedding"), images, cfg)?;
    let mut hidden_states = Vec::with_capacity(cfg.layers);
    for i in 0..cfg.layers {
        xs = encoder_block(scope.pp(&format!("blocks.{i}")), &xs, cfg)?;
        hidden_states.push(xs.clone());
    }
    let normed = layer_norm(scope.pp("norm"), &xs, cfg.layer_norm_eps)?;
    Ok((hidden_states, normed))
}

fn patch_embedding(
    mut scope: Scope<'_, '_>,
    images: &Value,
    cfg: &VitConfig,
) -> Result<Value, Error> {
    let (patch, hidden, tokens) = (cfg.patch_size, cfg.hidden_size, cfg.tokens());
    let xs = match cfg.patch_projection {
        PatchProjection::Convolution => {
            let map = patch_conv(scope.pp("patch_embeddings"), images, hidden, patch)?;
            let xs = scope.reshape(&map, &[hidden, tokens]);
            scope.transpose(&xs, &[2, 1])
        }
        PatchProjection::Perceptron => {
            let [rows, columns] = cfg.grid();
            let pixels = [cfg.in_channels, rows, patch, columns, patch];
            let xs = scope.reshape(images, &pixels);
            // Row, column, row and column within the patch, channel.
            let xs = scope.transpose(&xs, &[2, 4, 3, 5, 1]);
            let xs = scope.reshape(&xs, &[tokens, patch * patch * cfg.in_channels]);
            linear(scope.pp("patch_embeddings.1"), &xs, hidden, Bias::Learned)?
        }
    };
    let positions = scope.parameter("position_embeddings", &[1, tokens, hidden])?;
    Ok(scope.binary("Add", &xs, &positions))
}

fn encoder_block(mut scope: Scope<'_, '_>, xs: &Value, cfg: &VitConfig) -> Result<Value, Error> {
    let ys = layer_norm(scope.pp("norm1"), xs, cfg.layer_norm_eps)?;
    let ys = self_attention(scope.pp("attn"), &ys, cfg)?;
    let ys = layer_scale(scope.pp("ls1"), ys, cfg)?;
    let xs = scope.binary("Add", xs, &ys);

    let ys = layer_norm(scope.pp("norm2"), &xs, cfg.layer_norm_eps)?;
    let ys = mlp(scope.pp("mlp"), &ys, cfg)?;
    let ys = layer_scale(scope.pp("ls2"), ys, cfg)?;
    Ok(scope.binary("Add", &xs, &ys))
}

fn self_attention(mut scope: Scope<'_, '_>, xs: &Value, cfg: &VitConfig) -> Result<Value, Error> {
    let (hidden, heads, tokens) = (cfg.hidden_size, cfg.heads, cfg.tokens());
    let size = hidden / heads;
    let bias = Bias::from_config(cfg.qkv_bias);
    let qkv = linear(scope.pp("qkv"), xs, 3 * hidden, bias)?;
    let last = [("axis", Attribute::Int(-1))];
    let [queries, keys, values] = scope.nodes("Split", &[&qkv], &last, &[tokens, hidden]);

    let queries = scope.reshape(&queries, &[tokens, heads, size]);
    let queries = scope.transpose(&queries, &[2, 1, 3]);
    let keys = scope.reshape(&keys, &[tokens, heads, size]);
    let keys = scope.transpose(&keys, &[2, 3, 1]);
    let values = scope.reshape(&values, &[tokens, heads, size]);
    let values = scope.transpose(&values, &[2, 1, 3]);

    let queries = scope.scalar("Mul", &queries, (size as f64).sqrt().recip())?;
    let scores = [heads, tokens, tokens];
    let weights = scope.node("MatMul", &[&queries, &keys], &[], &scores);
    let weights = scope.node("Softmax", &[&weights], &last, &scores);
    let mixed = scope.node("MatMul", &[&weights, &values], &[], &[heads, tokens, size]);
    let mixed = scope.transpose(&mixed, &[2, 1, 3]);
    let mixed = scope.reshape(&mixed, &[tokens, hidden]);
    linear(scope.pp("out_proj"), &mixed, hidden, Bias::Learned)
}

fn mlp(mut scope: Scope<'_, '_>, xs: &Value, cfg: &VitConfig) -> Result<Value, Error> {
    let xs = linear(scope.pp("linear1"), xs, cfg.mlp_size, Bias::Learned)?;
    let xs = gelu(&mut scope, &xs, cfg.gelu)?;
    linear(scope.pp("linear2"), &xs, cfg.hidden_size, Bias::Learned)
}

fn layer_scale(mut scope: Scope<'_, '_>, xs: Value, cfg: &VitConfig) -> Result<Value, Error> {
    if cfg.layer_scale.is_none() {
        return Ok(xs);
    }
    let gamma = scope.parameter("gamma", &[cfg.hidden_size])?;
    Ok(scope.binary("Mul", &xs, &gamma))
}
