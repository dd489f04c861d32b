use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use unetr_model::Parameters;
use unetr_ops::{backward, global_norm};

use super::TrainerConfig;
use crate::Result;

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

    /// Their mean within the bounds of the configuration, and its norm before that.
    pub(super) fn finish(
        self,
        config: &TrainerConfig,
        parameters: &Parameters,
    ) -> Result<(GradStore, f64)> {
        let Some(mut gradients) = self.sum else {
            return Err(candle_core::Error::Msg("no batch has gradients".into()).into());
        };
        let parameters = parameters.trainable();
        let mut scale = 1. / self.batches as f64;
        if let Some(bound) = config.clip_value {
            change(&mut gradients, &parameters, |gradient| {
                (gradient * scale)?.clamp(-bound, bound)
            })?;
            scale = 1.;
        }
        let of_all = parameters.iter().filter_map(|(_, p)| gradients.get(p));
        let norm = scale * global_norm(&of_all.collect::<Vec<_>>())?;
        if let Some(bound) = config.clip_norm.filter(|&bound| norm > bound) {
            scale *= bound / norm;
        }
        if scale != 1. {
            change(&mut gradients, &parameters, |gradient| gradient * scale)?;
        }
        Ok((gradients, norm))
    }
}

/// Changes every gradient.
fn change(
    gradients: &mut GradStore,
    parameters: &[(String, Var)],
    change: impl Fn(Tensor) -> candle_core::Result<Tensor>,
) -> Result<()> {
    for (_, parameter) in parameters {
        if let Some(gradient) = gradients.remove(parameter) {
            gradients.insert(parameter, change(gradient)?);
        }
    }
    Ok(())
}
