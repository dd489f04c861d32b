use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use unetr_ops::{moving_averages, orthogonal};

use super::adam::zeros;
use super::groups::describe;
use super::saved::Saved;
use super::{Adam, MuonConfig, Optimizer, ParameterGroups, ParameterSettings, Training};
use crate::Result;

/// Rows and columns that a parameter must have to be updated as a matrix.
const SMALLEST: usize = 16;

/// Muon: updates of matrices are made orthogonal, so that every direction of a layer learns as fast as
/// the one with the largest gradient. What is no matrix is updated by AdamW.
///
/// A parameter is a matrix if it has two dimensions or more, and at least 16 rows and 16 columns where
/// all dimensions but the first are its columns: the kernels of convolutions too, but not biases, norms,
/// position embeddings, or the last layer of a network with few classes. Updates are as large as
/// those of AdamW, 0.2 for each number, so that both share learning rate and weight decay.
///
/// Source: Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>; the size of the updates is
/// that of Liu et al. 2025, section 2.2, <https://arxiv.org/abs/2502.16982>
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Var};
/// use unetr_train::{Muon, MuonConfig, Optimizer, ParameterGroups};
///
/// let weight = Var::randn(0f32, 1., (24, 16), &Device::Cpu)?;
/// let parameters = vec![("linear.weight".to_owned(), weight.clone())];
/// let mut muon = Muon::new(parameters, MuonConfig::default(), &ParameterGroups::default())?;
/// let loss = || weight.sqr()?.mean_all();
/// let before = loss()?.to_scalar::<f32>()?;
/// muon.minimise(&loss()?, 0.1)?;
/// assert!(loss()?.to_scalar::<f32>()? < before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Muon {
    config: MuonConfig,
    groups: ParameterGroups,
    matrices: Vec<Matrix>,
    others: Adam,
}

#[derive(Debug)]
struct Matrix {
    name: String,
    value: Var,
    /// The mean gradient.
    momentum: Var,
    settings: ParameterSettings,
}

impl Muon {
    /// An optimiser of named parameters in its initial state, with settings by name.
    ///
    /// # Errors
    /// When a setting is out of range, a pattern matches nothing, or memory for the state is missing.
    pub fn new(
        parameters: Vec<(String, Var)>,
        config: MuonConfig,
        groups: &ParameterGroups,
    ) -> Result<Self> {
        config.validate()?;
        let settings = groups.settings(&parameters, config.weight_decay)?;
        let parameters = parameters.into_iter().zip(settings);
        let (matrices, others): (Vec<_>, Vec<_>) =
            parameters.partition(|((_, value), settings)| {
                settings.training == Training::Trained && is_matrix(value)
            });
        let matrices = matrices.into_iter().map(|((name, value), settings)| {
            Ok(Matrix {
                name,
                momentum: zeros(value.dims(), &value)?,
                value,
                settings,
            })
        });
        Ok(Self {
            config,
            groups: groups.clone(),
            matrices: matrices.collect::<Result<_>>()?,
            others: Adam::with_settings(others, config.adam(), groups)?,
        })
    }

    /// Updates the matrices that have gradients, those of one shape together.
    fn update(&self, gradients: &GradStore, scale: f64, learning_rate: f64) -> Result<()> {
        let mut shapes: BTreeMap<[usize; 2], Vec<(&Matrix, Tensor)>> = BTreeMap::new();
        for matrix in &self.matrices {
            if let Some(gradient) = gradients.get(&matrix.value) {
                let gradient = match scale {
                    1. => gradient.contiguous()?,
                    scale => (gradient * scale)?,
                };
                let same = shapes.entry(sides(&matrix.value)).or_default();
                same.push((matrix, gradient));
            }
        }
        for (shape, matrices) in shapes {
            let pairs = matrices.iter().map(|(m, gradient)| (&m.momentum, gradient));
            moving_averages(&pairs.collect::<Vec<_>>(), self.config.momentum)?;
            let directions = self.directions(&matrices, shape)?;
            for (i, (matrix, _)) in matrices.iter().enumerate() {
                matrix.step(&directions.get(i)?, learning_rate)?;
            }
        }
        Ok(())
    }

    /// Where matrices of one shape go, `[matrices, rows, columns]`: Nesterov's momentum, made
    /// orthogonal.
    fn directions(&self, matrices: &[(&Matrix, Tensor)], shape: [usize; 2]) -> Result<Tensor> {
        let mu = self.config.momentum;
        let stacked = |tensors: &mut dyn Iterator<Item = Tensor>| {
            let flat = tensors.map(|tensor| tensor.reshape(&shape[..]));
            Tensor::stack(&flat.collect::<candle_core::Result<Vec<_>>>()?, 0)
        };
        let gradients = stacked(&mut matrices.iter().map(|(_, gradient)| gradient.detach()))?;
        let momenta = stacked(
            &mut matrices
                .iter()
                .map(|(m, _)| m.momentum.as_detached_tensor()),
        )?;
        let updates = ((gradients * (1. - mu))? + (momenta * mu)?)?;
        Ok(orthogonal(&updates, self.config.iterations)?)
    }
}

impl Matrix {
    fn step(&self, direction: &Tensor, learning_rate: f64) -> Result<()> {
        let rate = learning_rate * self.settings.lr_factor;
        let [rows, columns] = sides(&self.value);
        // Singular values of 1 are a mean square of 1 / the larger side.
        let size = 0.2 * (rows.max(columns) as f64).sqrt();
        let direction = direction.reshape(self.value.dims())?;
        let kept = (self.value.as_detached_tensor() * (1. - rate * self.settings.weight_decay))?;
        Ok(self.value.set(&(kept - (direction * (rate * size))?)?)?)
    }
}

/// Rows and columns of a parameter as a matrix.
fn sides(value: &Var) -> [usize; 2] {
    match value.dims() {
        [] => [1, 1],
        [rows, rest @ ..] => [*rows, rest.iter().product()],
    }
}

fn is_matrix(value: &Var) -> bool {
    value.rank() >= 2 && sides(value).iter().all(|&side| side >= SMALLEST)
}

impl Optimizer for Muon {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.update(gradients, 1., learning_rate)?;
        self.others.step(gradients, learning_rate)
    }

    fn step_scaled(&mut self, gradients: GradStore, scale: f64, learning_rate: f64) -> Result<()> {
        self.update(&gradients, scale, learning_rate)?;
        self.others.step_scaled(gradients, scale, learning_rate)
    }

    fn state(&self) -> Result<Option<BTreeMap<String, Tensor>>> {
        let mut state = self.others.state()?.unwrap_or_default();
        for matrix in &self.matrices {
            let name = format!("momentum.{}", matrix.name);
            state.insert(name, matrix.momentum.as_detached_tensor());
        }
        Ok(Some(state))
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut saved = Saved::new("Muon", state);
        let momenta = self.matrices.iter().map(|Matrix { name, momentum, .. }| {
            Ok((momentum, saved.take("momentum", name, momentum)?))
        });
        let momenta = momenta.collect::<Result<Vec<_>>>()?;
        self.others.restore(saved.rest())?;
        for (momentum, saved) in momenta {
            momentum.set(&saved)?;
        }
        Ok(())
    }

    fn describe(&self) -> String {
        describe(&self.config, &self.groups)
    }
}
