use candle_core::Tensor;
use candle_core::backprop::GradStore;
use unetr_model::Parameters;
use unetr_ops::{backward, global_norm};

use super::TrainerConfig;
use crate::{Optimizer, Result};

/// The sum of the gradients of several batches.
#[derive(Debug, Default)]
pub(super) struct Gradients {
    sum: Option<GradStore>,
    batches: u64,
}

impl Gradients {
    /// Adds those of a loss.
    pub(super) fn add(&mut self, loss: &Tensor, parameters: &Parameters) -> Result<()> {
        let gradients = backward(loss)?;
        self.batches += 1;
        let Some(sum) = &mut self.sum else {
            self.sum = Some(gradients);
            return Ok(());
        };
        for (_, parameter) in parameters.trainable() {
            let Some(gradient) = gradients.get(&parameter) else {
                continue;
            };
            let total = match sum.remove(&parameter) {
                Some(sum) => (sum + gradient)?,
                None => gradient.clone(),
            };
            sum.insert(&parameter, total);
        }
        Ok(())
    }

    /// What is to be applied: gradients and their scale, so that together they are the mean over the
    /// batches within the bounds of the configuration; and the norm of the mean before it is bounded.
    /// The losses were multiplied with `factor`.
    pub(super) fn finish(
        self,
        config: &TrainerConfig,
        parameters: &Parameters,
        factor: f64,
    ) -> Result<Bounded> {
        let Some(mut gradients) = self.sum else {
            return Err(candle_core::Error::Msg("no batch has gradients".into()).into());
        };
        let parameters = parameters.trainable();
        let mut scale = 1. / (self.batches as f64 * factor);
        let norm = |gradients: &GradStore| {
            let of_all = parameters.iter().filter_map(|(_, p)| gradients.get(p));
            global_norm(&of_all.collect::<Vec<_>>())
        };
        if config.scales_loss() || config.clip_value.is_some() {
            // Before bounds hide what is not finite.
            let norm = norm(&gradients)?;
            if !norm.is_finite() {
                return Ok(Bounded {
                    gradients,
                    scale,
                    norm,
                });
            }
        }
        if let Some(bound) = config.clip_value {
            for (_, parameter) in &parameters {
                if let Some(gradient) = gradients.remove(parameter) {
                    let bounded = (gradient * scale)?.clamp(-bound, bound)?;
                    gradients.insert(parameter, bounded);
                }
            }
            scale = 1.;
        }
        let norm = scale * norm(&gradients)?;
        if let Some(bound) = config.clip_norm.filter(|&bound| norm > bound) {
            scale *= bound / norm;
        }
        Ok(Bounded {
            gradients,
            scale,
            norm,
        })
    }
}

/// Gradients that are to be applied times `scale`.
pub(super) struct Bounded {
    gradients: GradStore,
    scale: f64,
    pub(super) norm: f64,
}

/// What the optimiser is given.
pub(super) enum Update {
    /// A loss, whose gradients may be applied as they come.
    Direct(Tensor),
    /// Gradients that were looked at together.
    Bounded(Bounded),
    /// Nothing: the gradients were too large for f16.
    LeftOut,
}

impl Update {
    /// The norm of the gradients before they were bounded.
    pub(super) fn gradient_norm(&self) -> Option<f64> {
        match self {
            Self::Direct(_) | Self::LeftOut => None,
            Self::Bounded(bounded) => Some(bounded.norm),
        }
    }

    pub(super) fn apply(self, optimizer: &mut dyn Optimizer, learning_rate: f64) -> Result<()> {
        match self {
            Self::LeftOut => Ok(()),
            Self::Direct(loss) => optimizer.minimise(&loss, learning_rate),
            Self::Bounded(Bounded {
                gradients, scale, ..
            }) => optimizer.step_scaled(gradients, scale, learning_rate),
        }
    }
}
