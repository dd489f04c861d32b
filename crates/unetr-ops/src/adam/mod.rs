//! One step of Adam.

mod composed;
mod cpu;

use std::collections::HashSet;

use candle_core::{Result, Tensor, Var};

use crate::OpError;
use crate::cpu::{runs_on_cpu, storage_of};
use crate::error::{check_shape, value_error};

const OP: &str = "adam_steps";

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
    /// What the gradient is multiplied with first; 1 leaves it as it is, bit for bit.
    pub gradient_scale: f64,
    /// Decoupled weight decay (AdamW, Loshchilov and Hutter 2019); 0 for plain Adam.
    pub weight_decay: f64,
    /// Which step this is, counted from 1, for the bias correction.
    pub step: u64,
}

impl AdamStep {
    /// `1 - βᵗ` of both means.
    pub(crate) fn bias_corrections(&self) -> (f64, f64) {
        let t = self.step as f64;
        (1. - self.beta1.powf(t), 1. - self.beta2.powf(t))
    }
}

/// A parameter to be updated by [`adam_steps`].
#[derive(Debug, Clone, Copy)]
pub struct AdamUpdate<'a> {
    /// Of any shape.
    pub parameter: &'a Var,
    /// The shape of the parameter.
    pub gradient: &'a Tensor,
    /// `[2, ..]` of it: the mean of the gradients and of their squares, zeros at first.
    pub moments: &'a Var,
    /// The numbers of this step.
    pub step: AdamStep,
}

/// Updates parameters and their moments in place by one step of Adam (Kingma and Ba 2015, algorithm
/// 1, <https://arxiv.org/abs/1412.6980>), `eps` outside the root as in Optax and PyTorch.
///
/// # Errors
/// When shapes or types do not fit, when a step is 0, or when a parameter is there twice.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use unetr_ops::{AdamStep, AdamUpdate, adam_steps};
///
/// let parameter = Var::ones(3, DType::F32, &Device::Cpu)?;
/// let gradient = Tensor::ones(3, DType::F32, &Device::Cpu)?;
/// let moments = Var::zeros((2, 3), DType::F32, &Device::Cpu)?;
/// let step = AdamStep {
///     learning_rate: 0.1,
///     beta1: 0.9,
///     beta2: 0.999,
///     eps: 1e-8,
///     gradient_scale: 1.,
///     weight_decay: 0.,
///     step: 1,
/// };
/// adam_steps(&[AdamUpdate { parameter: &parameter, gradient: &gradient, moments: &moments, step }])?;
/// assert!(parameter.to_vec1::<f32>()?.iter().all(|w| (w - 0.9).abs() < 1e-6));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adam_steps(updates: &[AdamUpdate<'_>]) -> Result<()> {
    for update in updates {
        update.check()?;
    }
    if updates.iter().all(|update| runs_on_cpu(update.parameter)) {
        return cpu::adam_steps(updates);
    }
    #[cfg(feature = "cuda")]
    if fits_cuda(updates) {
        return crate::cuda::optimizer::adam(updates, &readable_gradients(updates)?);
    }
    updates.iter().try_for_each(composed::adam_step)
}

/// [`adam_steps`] of one parameter.
///
/// # Errors
/// As there.
pub fn adam_step(parameter: &Var, gradient: &Tensor, moments: &Var, step: &AdamStep) -> Result<()> {
    adam_steps(&[AdamUpdate {
        parameter,
        gradient,
        moments,
        step: *step,
    }])
}

#[cfg(feature = "cuda")]
fn fits_cuda(updates: &[AdamUpdate<'_>]) -> bool {
    let written = updates.iter().flat_map(|x| [x.parameter, x.moments]);
    let written: Vec<&Tensor> = written.map(Var::as_tensor).collect();
    let read: Vec<&Tensor> = updates.iter().map(|x| x.gradient).collect();
    crate::cuda::optimizer::fits(&written, &read)
}

/// The gradients, contiguous, and copied where they lie in what is written to.
///
/// # Errors
/// When something would be written to twice: two threads would get in each other's way.
fn readable_gradients(updates: &[AdamUpdate<'_>]) -> Result<Vec<Tensor>> {
    let mut written = HashSet::new();
    for update in updates {
        for var in [update.parameter, update.moments] {
            if !written.insert(storage_of(var)) {
                let (what, found) = ("the parameters and moments", "one of them twice");
                return Err(value_error(OP, what, &found, "each one once"));
            }
        }
    }
    let gradients = updates.iter().map(|update| update.gradient.detach());
    gradients
        .map(|gradient| match written.contains(&storage_of(&gradient)) {
            true => gradient.copy()?.contiguous(),
            false => gradient.contiguous(),
        })
        .collect()
}

impl AdamUpdate<'_> {
    fn check(&self) -> Result<()> {
        let Self {
            parameter,
            gradient,
            moments,
            step,
        } = *self;
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
            return Err(value_error(OP, "the step", &0, "1 or more"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::check::{assert_close, random};

    fn step(step: u64) -> AdamStep {
        AdamStep {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            gradient_scale: 1.,
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
            let update = AdamUpdate {
                parameter: &slow,
                gradient: &gradient,
                moments: &slow_moments,
                step: step(t),
            };
            composed::adam_step(&update).unwrap();
            assert_close("parameter", &fast, &slow, 1e-13);
            assert_close("moments", &fast_moments, &slow_moments, 1e-13);
        }
    }

    #[test]
    fn a_scaled_gradient_is_the_gradient_times_the_scale() {
        let parameters = [0, 1].map(|_| Var::from_tensor(&random(1, &[5, 7])).unwrap());
        let moments = [0, 1, 2].map(|_| Var::zeros((2, 5, 7), DType::F64, &Device::Cpu).unwrap());
        let gradient = random(2, &[5, 7]);
        let scaled = AdamStep {
            gradient_scale: 0.25,
            ..step(1)
        };
        adam_step(&parameters[0], &gradient, &moments[0], &scaled).unwrap();
        let quarter = (&gradient * 0.25).unwrap();
        adam_step(&parameters[1], &quarter, &moments[1], &step(1)).unwrap();
        assert_close("parameter", &parameters[0], &parameters[1], 0.);
        assert_close("moments", &moments[0], &moments[1], 0.);
        let update = AdamUpdate {
            parameter: &parameters[1],
            gradient: &gradient,
            moments: &moments[2],
            step: scaled,
        };
        composed::adam_step(&update).unwrap();
        assert_close("moments", &moments[2], &moments[0], 1e-15);
    }

    /// Parameters of all sizes, gradients that are not contiguous among theirs.
    fn many() -> Vec<(Var, Tensor, Var)> {
        let shapes = [[1, 1], [300, 170], [7, 9], [1, 40_000], [33, 2]];
        let parameters = shapes.iter().cycle().take(20).zip(0..);
        let parameters = parameters.map(|(&[rows, columns], seed)| {
            let single = |seed, shape: &[usize]| random(seed, shape).to_dtype(DType::F32).unwrap();
            let parameter = Var::from_tensor(&single(seed, &[rows, columns])).unwrap();
            let gradient = single(seed + 50, &[columns, rows]).t().unwrap();
            let shape = (2, rows, columns);
            let moments = Var::zeros(shape, DType::F32, parameter.device()).unwrap();
            (parameter, gradient, moments)
        });
        parameters.collect()
    }

    #[test]
    fn parameters_together_are_those_updated_one_by_one_whatever_the_number_of_threads() {
        let results = |parameters: &[(Var, Tensor, Var)]| -> Vec<Vec<f64>> {
            let vars = parameters
                .iter()
                .flat_map(|(value, _, moments)| [value, moments]);
            vars.map(|var| crate::check::values(var)).collect()
        };
        let alone = many();
        for t in 1..=2 {
            for (parameter, gradient, moments) in &alone {
                adam_step(parameter, gradient, moments, &step(t)).unwrap();
            }
        }
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let together = many();
            pool.unwrap().install(|| {
                for t in 1..=2 {
                    let updates =
                        together
                            .iter()
                            .map(|(parameter, gradient, moments)| AdamUpdate {
                                parameter,
                                gradient,
                                moments,
                                step: step(t),
                            });
                    adam_steps(&updates.collect::<Vec<_>>()).unwrap();
                }
            });
            assert!(results(&together) == results(&alone), "{threads} threads");
        }
    }

    #[test]
    fn storage_that_is_there_twice_is_refused_or_copied() {
        let parameter = Var::from_tensor(&random(1, &[3])).unwrap();
        let moments = [1, 2].map(|_| Var::zeros((2, 3), DType::F64, parameter.device()).unwrap());
        let gradient = random(2, &[3]);
        let updates = [0, 1].map(|i| AdamUpdate {
            parameter: &parameter,
            gradient: &gradient,
            moments: &moments[i],
            step: step(1),
        });
        let message = adam_steps(&updates).unwrap_err().to_string();
        assert!(message.contains("one of them twice"), "{message}");
        // A gradient that is the parameter itself.
        let expected = Var::from_tensor(&parameter.as_tensor().copy().unwrap()).unwrap();
        let copy = expected.as_tensor().copy().unwrap();
        adam_step(&parameter, parameter.as_tensor(), &moments[0], &step(1)).unwrap();
        adam_step(&expected, &copy, &moments[1], &step(1)).unwrap();
        assert_close("parameter", &parameter, &expected, 0.);
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
