use candle_core::{Result, Tensor, Var};
use candle_nn::VarBuilder;
use candle_nn::init::{ONE, ZERO};
use unetr_ops::{
    Affine, BatchStatistics, Epilogue, Mode, batch_norm_eval, batch_norm_train, group_norm,
    instance_norm,
};

use super::cast;
use crate::{NormConfig, RunningVariance};

/// Normalisation of feature maps, with the sum and the activation that follow it.
///
/// Parameters: `weight` and `bias` `[channels]`, ones and zeros, unless it is an instance
/// normalisation without them; a batch normalisation has the buffers `running_mean` and
/// `running_var` as well, which [`Norm::forward`] updates in training.
#[derive(Debug, Clone)]
pub struct Norm {
    affine: Option<(Tensor, Tensor)>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Instance { eps: f64 },
    Group { groups: usize, eps: f64 },
    Batch { eps: f64, running: Running },
}

impl Norm {
    /// A normalisation of so many channels.
    ///
    /// # Errors
    /// When the variable builder has no such parameters.
    pub fn new(channels: usize, cfg: NormConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let affine = match cfg {
            NormConfig::Instance { affine: false, .. } => None,
            _ => Some((
                vb.get_with_hints(channels, "weight", ONE)?,
                vb.get_with_hints(channels, "bias", ZERO)?,
            )),
        };
        let kind = match cfg {
            NormConfig::Instance { eps, .. } => Kind::Instance { eps },
            NormConfig::Group { groups, eps } => Kind::Group { groups, eps },
            NormConfig::Batch {
                eps,
                momentum,
                running_variance,
            } => Kind::Batch {
                eps,
                running: Running::new(channels, momentum, running_variance, &vb)?,
            },
        };
        Ok(Self { affine, kind })
    }

    /// Applies the normalisation and the epilogue.
    ///
    /// # Shapes
    /// - `xs`: `[batch, channels, ..]`
    /// - returns: the same shape
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, xs: &Tensor, epilogue: Epilogue<'_>, mode: Mode) -> Result<Tensor> {
        let affine = self.affine(xs)?;
        let affine = affine
            .as_ref()
            .map(|(weight, bias)| Affine { weight, bias });
        match (&self.kind, mode) {
            (&Kind::Instance { eps }, _) => instance_norm(xs, affine, eps, epilogue),
            (&Kind::Group { groups, eps }, _) => group_norm(xs, groups, affine, eps, epilogue),
            (Kind::Batch { eps, running }, Mode::Train { .. }) => {
                let (ys, statistics) = batch_norm_train(xs, affine, *eps, epilogue)?;
                running.update(&statistics, xs.elem_count() / xs.dim(1)?)?;
                Ok(ys)
            }
            (Kind::Batch { eps, running }, Mode::Eval) => {
                batch_norm_eval(xs, &running.statistics(xs)?, affine, *eps, epilogue)
            }
        }
    }

    /// Scale and shift, in the type of `xs`.
    ///
    /// # Errors
    /// When Candle cannot convert them.
    pub(crate) fn affine(&self, xs: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
        match &self.affine {
            Some((weight, bias)) => Ok(Some((cast(weight, xs)?, cast(bias, xs)?))),
            None => Ok(None),
        }
    }
}

/// Running statistics: variables, so that they are saved with the parameters, but not trained.
#[derive(Debug, Clone)]
struct Running {
    mean: Var,
    variance: Var,
    momentum: f64,
    kind: RunningVariance,
}

impl Running {
    fn new(
        channels: usize,
        momentum: f64,
        kind: RunningVariance,
        vb: &VarBuilder<'_>,
    ) -> Result<Self> {
        let mean = Var::from_tensor(&vb.get_with_hints(channels, "running_mean", ZERO)?)?;
        let variance = Var::from_tensor(&vb.get_with_hints(channels, "running_var", ONE)?)?;
        Ok(Self {
            mean,
            variance,
            momentum,
            kind,
        })
    }

    fn statistics(&self, xs: &Tensor) -> Result<BatchStatistics> {
        Ok(BatchStatistics {
            mean: cast(&self.mean.as_detached_tensor(), xs)?,
            variance: cast(&self.variance.as_detached_tensor(), xs)?,
        })
    }

    /// Moves the statistics towards those of a batch with `count` values in each channel.
    fn update(&self, batch: &BatchStatistics, count: usize) -> Result<()> {
        let correction = match self.kind {
            RunningVariance::Biased => 1.,
            RunningVariance::Unbiased => count as f64 / count.saturating_sub(1).max(1) as f64,
        };
        self.mean.set(&self.moved(&self.mean, &batch.mean)?)?;
        self.variance
            .set(&self.moved(&self.variance, &(&batch.variance * correction)?)?)
    }

    fn moved(&self, old: &Var, new: &Tensor) -> Result<Tensor> {
        (old.as_detached_tensor() * (1. - self.momentum))?
            + (cast(&new.detach(), old)? * self.momentum)?
    }
}
