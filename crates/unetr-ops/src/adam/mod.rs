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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::check::{assert_close, random};

    fn step(step: u64) -> AdamStep {
        AdamStep {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            step,
        }
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let vars = || {
            let parameter = Var::from_tensor(&random(1, &[5, 7])).unwrap();
            let moments = Var::zeros((2, 5, 7), DType::F64, parameter.device()).unwrap();
            (parameter, moments)
        };
        let ((fast, fast_moments), (slow, slow_moments)) = (vars(), vars());
        for t in 1..=5 {
            let gradient = random(10 + t, &[5, 7]);
            adam_step(&fast, &gradient, &fast_moments, &step(t)).unwrap();
            composed::adam_step(&slow, &gradient, &slow_moments, &step(t)).unwrap();
            assert_close("parameter", &fast, &slow, 1e-13);
            assert_close("moments", &fast_moments, &slow_moments, 1e-13);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let parameter = Var::from_tensor(&random(1, &[3])).unwrap();
        let moments = Var::zeros((2, 3), DType::F64, parameter.device()).unwrap();
        let message = |gradient: &Tensor, t| {
            adam_step(&parameter, gradient, &moments, &step(t))
                .unwrap_err()
                .to_string()
        };
        assert!(message(&random(1, &[4]), 1).contains("the gradient has shape [4]"));
        let single = random(1, &[3]).to_dtype(DType::F32).unwrap();
        assert!(message(&single, 1).contains("the parameter's type"));
        assert!(message(&random(1, &[3]), 0).contains("the step is 0"));
    }
}
