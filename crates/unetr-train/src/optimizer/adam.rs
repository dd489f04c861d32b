use std::collections::{BTreeMap, HashMap, HashSet};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, TensorId, Var};
use rayon::iter::ParallelIterator as _;
use unetr_ops::{AdamStep, AdamUpdate, adam_steps, backward_with};

use super::groups::describe;
use super::saved::Saved;
use super::{AdamConfig, Optimizer, ParameterGroups, ParameterSettings, Training};
use crate::Result;

const STEP: &str = "step";
/// Numbers of a parameter that is worth an update of its own.
const LARGE: usize = 64 * 1024;

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
    groups: ParameterGroups,
    parameters: Vec<Parameter>,
    /// Large parameters that stay as they are.
    frozen: HashSet<TensorId>,
    step: u64,
}

#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    value: Var,
    moments: Var,
    lr_factor: f64,
    weight_decay: f64,
}

impl Adam {
    /// An optimiser of named parameters, in its initial state.
    ///
    /// # Errors
    /// When a setting is out of range or memory for the state is missing.
    pub fn new(parameters: Vec<(String, Var)>, config: AdamConfig) -> Result<Self> {
        Self::with_groups(parameters, config, &ParameterGroups::default())
    }

    /// An optimiser of named parameters with settings by name.
    ///
    /// A frozen parameter is not updated and has no state. Its gradient is computed nevertheless.
    ///
    /// # Errors
    /// When a setting is out of range, a pattern matches nothing, or memory for the state is missing.
    ///
    /// # Examples
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use unetr_train::{Adam, AdamConfig, GroupRule, Optimizer, ParameterGroups};
    ///
    /// let encoder = Var::ones((2, 2), DType::F32, &Device::Cpu)?;
    /// let decoder = Var::ones((2, 2), DType::F32, &Device::Cpu)?;
    /// let parameters = vec![
    ///     ("vit.norm.weight".to_owned(), encoder.clone()),
    ///     ("decoder2.weight".to_owned(), decoder.clone()),
    /// ];
    /// let groups = ParameterGroups::default().rule(GroupRule::new("vit.*").lr_factor(0.1));
    /// let mut adam = Adam::with_groups(parameters, AdamConfig::default(), &groups)?;
    /// adam.minimise(&(encoder.as_tensor() + decoder.as_tensor())?.sqr()?.sum_all()?, 0.1)?;
    /// let (slow, fast) = (encoder.to_vec2::<f32>()?[0][0], decoder.to_vec2::<f32>()?[0][0]);
    /// assert!((slow - 0.99).abs() < 1e-6 && (fast - 0.9).abs() < 1e-6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_groups(
        parameters: Vec<(String, Var)>,
        config: AdamConfig,
        groups: &ParameterGroups,
    ) -> Result<Self> {
        config.validate()?;
        let settings = groups.settings(&parameters, config.weight_decay)?;
        let parameters = parameters.into_iter().zip(settings).collect();
        Self::with_settings(parameters, config, groups)
    }

    /// An optimiser of parameters with the settings that `groups` has given them.
    pub(super) fn with_settings(
        parameters: Vec<((String, Var), ParameterSettings)>,
        config: AdamConfig,
        groups: &ParameterGroups,
    ) -> Result<Self> {
        let (mut trained, mut frozen) = (Vec::new(), HashSet::new());
        for ((name, value), settings) in parameters {
            match settings.training {
                Training::Trained => {
                    let shape: Vec<usize> = [&[2], value.dims()].concat();
                    trained.push(Parameter {
                        name,
                        moments: zeros(&shape, &value)?,
                        value,
                        lr_factor: settings.lr_factor,
                        weight_decay: settings.weight_decay,
                    });
                }
                Training::Frozen if is_large(&value) => {
                    frozen.insert(value.id());
                }
                Training::Frozen => {}
            }
        }
        Ok(Self {
            config,
            groups: groups.clone(),
            parameters: trained,
            frozen,
            step: 0,
        })
    }
}

/// Whether a parameter is worth an update of its own.
fn is_large(value: &Var) -> bool {
    value.elem_count() >= LARGE
}

/// Zeros of the type and on the device of a parameter.
///
/// Fresh zeros of the system are one page until they are written to: the first step would fault on each
/// page twice. These are written, by all threads.
pub(super) fn zeros(shape: &[usize], like: &Var) -> candle_core::Result<Var> {
    match (like.device(), like.dtype()) {
        (Device::Cpu, DType::F32) => {
            let count = shape.iter().product();
            let zeros: Vec<f32> = rayon::iter::repeat_n(0., count).collect();
            Var::from_vec(zeros, shape, &Device::Cpu)
        }
        (device, dtype) => Var::zeros(shape, dtype, device),
    }
}

impl Adam {
    /// The step of every parameter that has a gradient.
    fn steps(&mut self, gradients: &GradStore, step: AdamStep) -> Result<()> {
        self.step = step.step;
        let updates = self.parameters.iter().filter_map(|parameter| {
            let gradient = gradients.get(&parameter.value)?;
            Some(parameter.update(gradient, step))
        });
        Ok(adam_steps(&updates.collect::<Vec<_>>())?)
    }
}

impl Parameter {
    /// Its update by a step of the optimiser.
    fn update<'a>(&'a self, gradient: &'a Tensor, step: AdamStep) -> AdamUpdate<'a> {
        AdamUpdate {
            parameter: &self.value,
            gradient,
            moments: &self.moments,
            step: AdamStep {
                learning_rate: step.learning_rate * self.lr_factor,
                weight_decay: self.weight_decay,
                ..step
            },
        }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.steps(gradients, self.config.step(learning_rate, self.step + 1))
    }

    fn step_scaled(&mut self, gradients: GradStore, scale: f64, learning_rate: f64) -> Result<()> {
        let step = AdamStep {
            gradient_scale: scale,
            ..self.config.step(learning_rate, self.step + 1)
        };
        self.steps(&gradients, step)
    }

    /// Updates large parameters during the backward pass.
    fn minimise(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        let step = self.config.step(learning_rate, self.step + 1);
        let large = self.parameters.iter().filter(|p| is_large(&p.value));
        let large: HashMap<_, _> = large.map(|p| (p.value.id(), p.clone())).collect();
        let frozen = self.frozen.clone();
        let rest = backward_with(loss, move |variable, gradient| {
            let Some(parameter) = large.get(&variable.id()) else {
                // The gradient of a frozen parameter is of no use.
                return Ok((!frozen.contains(&variable.id())).then_some(gradient));
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
        let mut saved = Saved::new("Adam", state);
        let step = state.get(STEP);
        let step = step.ok_or_else(|| saved.mismatch("no step".into()))?;
        let step = step.to_dtype(DType::I64)?.to_scalar::<i64>()?;
        let step = u64::try_from(step).map_err(|_| saved.mismatch(format!("step {step}")))?;
        if state.len() != self.parameters.len() + 1 {
            let (found, own) = (state.len() - 1, self.parameters.len());
            return Err(saved.mismatch(format!("{found} parameters instead of {own}")));
        }
        let moments = self
            .parameters
            .iter()
            .map(|Parameter { name, moments, .. }| {
                Ok((moments, saved.take("moments", name, moments)?))
            });
        for (moments, saved) in moments.collect::<Result<Vec<_>>>()? {
            moments.set(&saved)?;
        }
        self.step = step;
        Ok(())
    }

    fn describe(&self) -> String {
        describe(&self.config, &self.groups)
    }
}
