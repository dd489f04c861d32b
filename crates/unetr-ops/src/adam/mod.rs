//! One step of Adam on one parameter.

mod composed;
mod cpu;

use candle_core::{Result, Tensor, Var};

use crate::OpError;
use crate::cpu::runs_on_cpu;
use crate::error::check_shape;

const OP: &str = "adam_step";

/// The numbers of one Adam step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// How far to go.
    pub learning_rate: f64,
    /// Decay of the mean of the gradients, `β₁`.
    pub beta1: f64,
    /// Decay of the mean of their squares, `β₂`.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Decoupled weight decay (AdamW, Loshchilov and Hutter 2019); 0 for plain Adam.
    pub weight_decay: f64,
    /// Which step this is, counted from 1, for the bias correction.
    pub step: u64,
}

impl AdamStep {
    /// `1 - βᵗ` of both means.
    fn bias_corrections(&self) -> (f64, f64) {
        let t = self.step as f64;
        (1. - self.beta1.powf(t), 1. - self.beta2.powf(t))
    }
}

/// Updates a parameter and its moments in place by one step of Adam (Kingma and Ba 2015, algorithm
/// 1, <https://arxiv.org/abs/1412.6980>), `eps` outside the root as in Optax and PyTorch.
///
/// # Shapes
/// - `parameter`, `gradient`: any shape
/// - `moments`: `[2, ..]` of it: the mean of the gradients and of their squares, zeros at first
///
/// # Errors
/// When shapes or types do not fit, or when the step is 0.
pub fn adam_step(parameter: &Var, gradient: &Tensor, moments: &Var, step: &AdamStep) -> Result<()> {
    check_shape(OP, "the gradient", gradient, parameter.shape())?;
    let mut stacked = vec![2];
    stacked.extend_from_slice(parameter.dims());
    check_shape(OP, "the moments", moments, stacked)?;
    for (argument, tensor) in [
        ("the gradient", gradient),
        ("the moments", moments.as_tensor()),
    ] {
        if tensor.dtype() != parameter.dtype() {
            let (found, expected) = (tensor.dtype(), "the parameter's type");
            return Err(OpError::Type {
                op: OP,
                argument,
                found,
                expected,
            }
            .into());
        }
    }
    if step.step == 0 {
        let (found, expected) = ("0".into(), "1 or more".into());
        return Err(OpError::Value {
            op: OP,
            argument: "the step",
            found,
            expected,
        }
        .into());
    }
    if runs_on_cpu(parameter) {
        cpu::adam_step(parameter, &gradient.contiguous()?, moments, step)
    } else {
        composed::adam_step(parameter, gradient, moments, step)
    }
}
