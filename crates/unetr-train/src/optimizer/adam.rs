use std::collections::{BTreeMap, HashMap};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use rayon::iter::ParallelIterator as _;
use serde::{Deserialize, Serialize};
use unetr_ops::{AdamStep, AdamUpdate, adam_steps, backward_with};

use super::Optimizer;
use crate::{Error, Result};

const STEP: &str = "step";
/// Numbers of a parameter that is worth an update of its own.
const LARGE: usize = 64 * 1024;

/// The settings of [`Adam`]; the default is the tutorial's, `optax.adam(schedule, 0.9)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay of the mean of the gradients; 0.9 by default.
    pub beta1: f64,
    /// Decay of the mean of their squares; 0.999 by default.
    pub beta2: f64,
    /// Added to the root of the mean square, outside of the root; 1e-8 by default.
    pub eps: f64,
    /// Decoupled weight decay of AdamW (<https://arxiv.org/abs/1711.05101>), on every parameter of
    /// two or more dimensions; 0 by default.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.,
        }
    }
}

impl AdamConfig {
    fn validate(&self) -> Result<()> {
        for (what, value) in [("beta1 of Adam", self.beta1), ("beta2 of Adam", self.beta2)] {
            if !(0. ..1.).contains(&value) {
                let (found, expected) = (value.to_string(), "at least 0 and less than 1");
                return Err(Error::Config {
                    what,
                    found,
                    expected,
                });
            }
        }
        for (what, value) in [
            ("eps of Adam", self.eps),
            ("the weight decay of Adam", self.weight_decay),
        ] {
            if !(value >= 0. && value.is_finite()) {
                let (found, expected) = (value.to_string(), "a finite number of at least 0");
                return Err(Error::Config {
                    what,
                    found,
                    expected,
                });
            }
        }
        Ok(())
    }
}

/// Adam and AdamW, in place, with a state that can be saved (Kingma and Ba 2015,
/// <https://arxiv.org/abs/1412.6980>).
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Var};
/// use unetr_train::{Adam, AdamConfig, Optimizer};
///
/// let weight = Var::ones(3, DType::F32, &Device::Cpu)?;
/// let mut adam = Adam::new(vec![("weight".to_owned(), weight.clone())], AdamConfig::default())?;
/// let loss = weight.sqr()?.sum_all()?;
/// adam.step(&loss.backward()?, 0.1)?;
/// assert!(weight.to_vec1::<f32>()?.iter().all(|w| (w - 0.9).abs() < 1e-6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    parameters: Vec<Parameter>,
    step: u64,
}

#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    value: Var,
    moments: Var,
}

impl Adam {
    /// An optimiser of named parameters, in its initial state.
    ///
    /// # Errors
    /// When a setting is out of range or memory for the state is missing.
    pub fn new(parameters: Vec<(String, Var)>, config: AdamConfig) -> Result<Self> {
        config.validate()?;
        let parameters = parameters
            .into_iter()
            .map(|(name, value)| {
                let shape: Vec<usize> = [&[2], value.dims()].concat();
                let moments = zeros(&shape, &value)?;
                Ok(Parameter {
                    name,
                    value,
                    moments,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            config,
            parameters,
            step: 0,
        })
    }
}

/// Zeros of the type and on the device of a parameter.
///
/// Fresh zeros of the system are one page until they are written to: the first step would fault on each
/// page twice. These are written, by all threads.
fn zeros(shape: &[usize], like: &Var) -> candle_core::Result<Var> {
    match (like.device(), like.dtype()) {
        (Device::Cpu, DType::F32) => {
            let count = shape.iter().product();
            let zeros: Vec<f32> = rayon::iter::repeat_n(0., count).collect();
            Var::from_vec(zeros, shape, &Device::Cpu)
        }
        (device, dtype) => Var::zeros(shape, dtype, device),
    }
}

impl AdamConfig {
    fn step(self, learning_rate: f64, step: u64) -> AdamStep {
        AdamStep {
            learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
            step,
        }
    }
}

impl Parameter {
    /// Its update by a step of the optimiser.
    fn update<'a>(&'a self, gradient: &'a Tensor, step: AdamStep) -> AdamUpdate<'a> {
        let decays = self.value.rank() >= 2;
        AdamUpdate {
            parameter: &self.value,
            gradient,
            moments: &self.moments,
            step: AdamStep {
                weight_decay: if decays { step.weight_decay } else { 0. },
                ..step
            },
        }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.step += 1;
        let step = self.config.step(learning_rate, self.step);
        let updates = self.parameters.iter().filter_map(|parameter| {
            let gradient = gradients.get(&parameter.value)?;
            Some(parameter.update(gradient, step))
        });
        Ok(adam_steps(&updates.collect::<Vec<_>>())?)
    }

    /// Updates large parameters during the backward pass.
    fn minimise(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        let step = self.config.step(learning_rate, self.step + 1);
        let large = self
            .parameters
            .iter()
            .filter(|p| p.value.elem_count() >= LARGE);
        let large: HashMap<_, _> = large.map(|p| (p.value.id(), p.clone())).collect();
        let rest = backward_with(loss, move |variable, gradient| {
            let Some(parameter) = large.get(&variable.id()) else {
                return Ok(Some(gradient));
            };
            adam_steps(&[parameter.update(&gradient, step)])?;
            Ok(None)
        })?;
        self.step(&rest, learning_rate)
    }

    fn state(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        let moments = self.parameters.iter().map(|parameter| {
            let name = format!("moments.{}", parameter.name);
            Ok((name, parameter.moments.as_detached_tensor()))
        });
        let mut state = moments.collect::<Result<BTreeMap<_, _>>>()?;
        let step = Tensor::new(self.step as i64, &Device::Cpu)?;
        state.insert(STEP.to_owned(), step);
        Ok(Some(state))
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mismatch = |found: String| Error::OptimizerState {
            optimizer: "Adam",
            found,
        };
        let step = state.get(STEP).ok_or_else(|| mismatch("no step".into()))?;
        let step = step.to_dtype(DType::I64)?.to_scalar::<i64>()?;
        let step = u64::try_from(step).map_err(|_| mismatch(format!("step {step}")))?;
        if state.len() != self.parameters.len() + 1 {
            let (found, own) = (state.len() - 1, self.parameters.len());
            return Err(mismatch(format!("{found} parameters instead of {own}")));
        }
        for Parameter { name, moments, .. } in &self.parameters {
            let saved = state
                .get(&format!("moments.{name}"))
                .ok_or_else(|| mismatch(format!("nothing for {name}")))?;
            if saved.dims() != moments.dims() {
                let (found, own) = (saved.dims(), moments.dims());
                return Err(mismatch(format!(
                    "{name} of shape {found:?} instead of {own:?}"
                )));
            }
        }
        for Parameter { name, moments, .. } in &self.parameters {
            if let Some(saved) = state.get(&format!("moments.{name}")) {
                moments.set(
                    &saved
                        .to_dtype(moments.dtype())?
                        .to_device(moments.device())?,
                )?;
            }
        }
        self.step = step;
        Ok(())
    }

    fn describe(&self) -> String {
        let AdamConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
        } = self.config;
        format!("Adam(betas {beta1} and {beta2}, eps {eps:e}, weight decay {weight_decay})")
    }
}
