//! The block as its definition says, from the other operations of this crate.

use candle_core::{Result, Tensor};

use super::{NormedConv, ResidualBlock};
use crate::{Activation, Conv2dConfig, Epilogue, conv2d, instance_norm};

pub(super) fn residual_block(inputs: &[&Tensor], block: &ResidualBlock<'_>) -> Result<Tensor> {
    let xs = Tensor::cat(inputs, 1)?;
    let activation = Activation::LeakyRelu {
        slope: block.negative_slope,
    };
    let normed = |xs: &Tensor, conv: &NormedConv<'_>, epilogue: Epilogue<'_>| {
        let cfg = Conv2dConfig {
            padding: conv.weight.dim(2)? / 2,
            ..Conv2dConfig::default()
        };
        instance_norm(
            &conv2d(xs, conv.weight, None, &cfg)?,
            conv.affine,
            block.eps,
            epilogue,
        )
    };
    let residual = match &block.shortcut {
        Some(shortcut) => normed(&xs, shortcut, Epilogue::default())?,
        None => xs.clone(),
    };
    let ys = normed(&xs, &block.first, Epilogue::activation(activation))?;
    let epilogue = Epilogue {
        residual: Some(&residual),
        activation,
    };
    normed(&ys, &block.second, epilogue)
}
