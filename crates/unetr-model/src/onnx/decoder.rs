//! The convolutional blocks as nodes, as in `crate::blocks`.

use super::graph::Value;
use super::layers::{conv, conv_transpose, leaky_relu, norm};
use super::scope::{Attribute, Scope};
use crate::{Bias, BlockKind, DecoderConfig, Error, Upsampling};

/// `UnetBlock` at stride 1.
pub(super) fn unet_block(
    mut scope: Scope<'_, '_>,
    xs: &Value,
    outputs: usize,
    cfg: &DecoderConfig,
) -> Result<Value, Error> {
    let ys = conv_norm(&mut scope, 1, xs, outputs, 3, cfg)?;
    let ys = leaky_relu(&mut scope, &ys, cfg.leaky_slope);
    let ys = conv_norm(&mut scope, 2, &ys, outputs, 3, cfg)?;
    let ys = match cfg.block {
        BlockKind::Residual => {
            let [inputs, ..] = xs.sizes::<3>();
            let shortcut = match inputs == outputs {
                true => xs.clone(),
                false => conv_norm(&mut scope, 3, xs, outputs, 1, cfg)?,
            };
            scope.binary("Add", &ys, &shortcut)
        }
        BlockKind::Basic => ys,
    };
    Ok(leaky_relu(&mut scope, &ys, cfg.leaky_slope))
}

/// The `i`th convolution of a block with its normalisation.
fn conv_norm(
    scope: &mut Scope<'_, '_>,
    i: usize,
    xs: &Value,
    outputs: usize,
    kernel: usize,
    cfg: &DecoderConfig,
) -> Result<Value, Error> {
    let conv_scope = scope.pp(&format!("conv{i}.conv"));
    let ys = conv(conv_scope, xs, outputs, kernel, Bias::None)?;
    norm(scope.pp(&format!("norm{i}")), &ys, cfg.norm)
}

/// `PrUpBlock`: multiplies the resolution by `2^(stages + 1)`.
pub(super) fn pr_up_block(
    mut scope: Scope<'_, '_>,
    xs: &Value,
    outputs: usize,
    stages: usize,
    cfg: &DecoderConfig,
) -> Result<Value, Error> {
    let bias = Bias::from_config(cfg.transposed_bias);
    let mut xs = conv_transpose(scope.pp("transp_conv_init.conv"), xs, outputs, bias)?;
    for i in 0..stages {
        let mut scope = scope.pp(&format!("blocks.{i}"));
        xs = match cfg.upsampling {
            Upsampling::WithBlocks => {
                let xs = conv_transpose(scope.pp("0.conv"), &xs, outputs, bias)?;
                unet_block(scope.pp("1"), &xs, outputs, cfg)?
            }
            Upsampling::TransposedOnly => conv_transpose(scope.pp("conv"), &xs, outputs, bias)?,
        };
    }
    Ok(xs)
}

/// `UpBlock`: doubles the resolution and takes in the skip connection.
pub(super) fn up_block(
    mut scope: Scope<'_, '_>,
    xs: &Value,
    skip: &Value,
    cfg: &DecoderConfig,
) -> Result<Value, Error> {
    let [outputs, height, width] = skip.sizes();
    let bias = Bias::from_config(cfg.transposed_bias);
    let xs = conv_transpose(scope.pp("transp_conv.conv"), xs, outputs, bias)?;
    let channels = [("axis", Attribute::Int(1))];
    let both = scope.node(
        "Concat",
        &[&xs, skip],
        &channels,
        &[2 * outputs, height, width],
    );
    unet_block(scope.pp("conv_block"), &both, outputs, cfg)
}
