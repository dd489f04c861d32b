//! The layers as nodes, each with the parameters that `crate::layers` gives it.

use unetr_ops::Gelu;

use super::graph::Value;
use super::scope::{Attribute, Scope};
use crate::{Bias, Error, NormConfig};

/// A fully connected layer over the last dimension of tokens.
pub(super) fn linear(
    mut scope: Scope<'_, '_>,
    xs: &Value,
    outputs: usize,
    bias: Bias,
) -> Result<Value, Error> {
    let [tokens, inputs] = xs.sizes();
    let weight = scope.matrix("weight", [outputs, inputs])?;
    let ys = scope.node("MatMul", &[xs, &weight], &[], &[tokens, outputs]);
    match bias {
        Bias::Learned => {
            let bias = scope.parameter("bias", &[outputs])?;
            Ok(scope.binary("Add", &ys, &bias))
        }
        Bias::None => Ok(ys),
    }
}

/// A convolution at stride 1 that keeps the resolution of a map.
pub(super) fn conv(
    mut scope: Scope<'_, '_>,
    xs: &Value,
    outputs: usize,
    kernel: usize,
    bias: Bias,
) -> Result<Value, Error> {
    let [inputs, height, width] = xs.sizes();
    let weight = scope.parameter("weight", &[outputs, inputs, kernel, kernel])?;
    let bias = learned(&mut scope, bias, outputs)?;
    let inputs: Vec<&Value> = [xs, &weight].into_iter().chain(&bias).collect();
    let pads = [(kernel / 2) as i64; 4];
    let attributes = [
        ("kernel_shape", Attribute::Ints(&[kernel as i64; 2])),
        ("pads", Attribute::Ints(&pads)),
    ];
    Ok(scope.node("Conv", &inputs, &attributes, &[outputs, height, width]))
}

/// A convolution whose kernel takes every pixel of a map once.
pub(super) fn patch_conv(
    mut scope: Scope<'_, '_>,
    xs: &Value,
    outputs: usize,
    patch: usize,
) -> Result<Value, Error> {
    let [inputs, height, width] = xs.sizes();
    let weight = scope.parameter("weight", &[outputs, inputs, patch, patch])?;
    let bias = scope.parameter("bias", &[outputs])?;
    let size = [patch as i64; 2];
    let attributes = [
        ("kernel_shape", Attribute::Ints(&size)),
        ("strides", Attribute::Ints(&size)),
    ];
    let dims = [outputs, height / patch, width / patch];
    Ok(scope.node("Conv", &[xs, &weight, &bias], &attributes, &dims))
}

/// The transposed convolution that doubles the resolution of a map.
pub(super) fn conv_transpose(
    mut scope: Scope<'_, '_>,
    xs: &Value,
    outputs: usize,
    bias: Bias,
) -> Result<Value, Error> {
    let [inputs, height, width] = xs.sizes();
    let weight = scope.parameter("weight", &[inputs, outputs, 2, 2])?;
    let bias = learned(&mut scope, bias, outputs)?;
    let inputs: Vec<&Value> = [xs, &weight].into_iter().chain(&bias).collect();
    let attributes = [
        ("kernel_shape", Attribute::Ints(&[2, 2])),
        ("strides", Attribute::Ints(&[2, 2])),
    ];
    let dims = [outputs, 2 * height, 2 * width];
    Ok(scope.node("ConvTranspose", &inputs, &attributes, &dims))
}

fn learned(scope: &mut Scope<'_, '_>, bias: Bias, outputs: usize) -> Result<Option<Value>, Error> {
    match bias {
        Bias::Learned => scope.parameter("bias", &[outputs]).map(Some),
        Bias::None => Ok(None),
    }
}

/// A layer normalisation of tokens.
pub(super) fn layer_norm(mut scope: Scope<'_, '_>, xs: &Value, eps: f64) -> Result<Value, Error> {
    let [tokens, size] = xs.sizes();
    let weight = scope.parameter("weight", &[size])?;
    let bias = scope.parameter("bias", &[size])?;
    let attributes = [
        ("axis", Attribute::Int(-1)),
        ("epsilon", Attribute::Float(eps)),
    ];
    let inputs = [xs, &weight, &bias];
    Ok(scope.node("LayerNormalization", &inputs, &attributes, &[tokens, size]))
}

/// The normalisation of a map.
pub(super) fn norm(mut scope: Scope<'_, '_>, xs: &Value, cfg: NormConfig) -> Result<Value, Error> {
    let [channels, height, width] = xs.sizes();
    let dims = [channels, height, width];
    match cfg {
        NormConfig::Instance { affine, eps } => {
            let (weight, bias) = match affine {
                true => (
                    scope.parameter("weight", &[channels])?,
                    scope.parameter("bias", &[channels])?,
                ),
                false => (
                    scope.constant(1., &[channels])?,
                    scope.constant(0., &[channels])?,
                ),
            };
            Ok(instance_norm(&mut scope, [xs, &weight, &bias], eps, &dims))
        }
        NormConfig::Group { groups, eps } => {
            let (one, zero) = (
                scope.constant(1., &[groups])?,
                scope.constant(0., &[groups])?,
            );
            let runs = [groups, channels / groups * height * width];
            let xs = scope.reshape(xs, &runs);
            let ys = instance_norm(&mut scope, [&xs, &one, &zero], eps, &runs);
            let ys = scope.reshape(&ys, &dims);
            let weight = scope.column("weight", channels)?;
            let ys = scope.binary("Mul", &ys, &weight);
            let bias = scope.column("bias", channels)?;
            Ok(scope.binary("Add", &ys, &bias))
        }
        NormConfig::Batch { eps, .. } => {
            let parameters = ["weight", "bias", "running_mean", "running_var"];
            let [weight, bias, mean, variance] =
                parameters.map(|name| scope.parameter(name, &[channels]));
            let inputs = [xs, &weight?, &bias?, &mean?, &variance?];
            let attributes = [("epsilon", Attribute::Float(eps))];
            Ok(scope.node("BatchNormalization", &inputs, &attributes, &dims))
        }
    }
}

fn instance_norm(
    scope: &mut Scope<'_, '_>,
    inputs: [&Value; 3],
    eps: f64,
    dims: &[usize],
) -> Value {
    let attributes = [("epsilon", Attribute::Float(eps))];
    scope.node("InstanceNormalization", &inputs, &attributes, dims)
}

/// A leaky ReLU of a map.
pub(super) fn leaky_relu(scope: &mut Scope<'_, '_>, xs: &Value, slope: f64) -> Value {
    let attributes = [("alpha", Attribute::Float(slope))];
    scope.node("LeakyRelu", &[xs], &attributes, &xs.sizes::<3>())
}

/// A GELU, written as the runtimes that have it as one operation recognise it.
pub(super) fn gelu(scope: &mut Scope<'_, '_>, xs: &Value, formula: Gelu) -> Result<Value, Error> {
    use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};
    let bent = match formula {
        Gelu::Erf => {
            let ys = scope.scalar("Div", xs, SQRT_2)?;
            scope.unary("Erf", &ys)
        }
        Gelu::Tanh => {
            // √(2/π)·(x + 0.044715·x³)
            let ys = scope.scalar("Mul", xs, 0.044715)?;
            let ys = scope.binary("Mul", xs, &ys);
            let ys = scope.scalar("Add", &ys, 1.)?;
            let scaled = scope.scalar("Mul", xs, FRAC_2_SQRT_PI * FRAC_1_SQRT_2)?;
            let ys = scope.binary("Mul", &scaled, &ys);
            scope.unary("Tanh", &ys)
        }
    };
    let gate = scope.scalar("Add", &bent, 1.)?;
    match formula {
        Gelu::Erf => {
            let ys = scope.binary("Mul", xs, &gate);
            scope.scalar("Mul", &ys, 0.5)
        }
        Gelu::Tanh => {
            let half = scope.scalar("Mul", xs, 0.5)?;
            Ok(scope.binary("Mul", &half, &gate))
        }
    }
}
