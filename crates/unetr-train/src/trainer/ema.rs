use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use unetr_model::Parameters;
use unetr_ops::moving_averages;

use super::EmaConfig;
use crate::Result;

/// A moving average of the parameters that are trained.
#[derive(Debug)]
pub(super) struct Ema {
    config: EmaConfig,
    pairs: Vec<Pair>,
}

#[derive(Debug)]
struct Pair {
    name: String,
    average: Var,
    parameter: Var,
}

impl Ema {
    /// The averages of parameters as they are now.
    pub(super) fn new(config: EmaConfig, parameters: &Parameters) -> Result<Self> {
        let pairs = parameters.trainable().into_iter().map(|(name, parameter)| {
            let average = Var::from_tensor(&parameter.as_detached_tensor().copy()?)?;
            Ok(Pair {
                name,
                average,
                parameter,
            })
        });
        Ok(Self {
            config,
            pairs: pairs.collect::<Result<_>>()?,
        })
    }

    /// After the update that is the `step`th, counted from 1.
    pub(super) fn update(&self, step: u64) -> Result<()> {
        let EmaConfig { decay, every } = self.config;
        if !step.is_multiple_of(every) {
            return Ok(());
        }
        let growing = (1. + step as f64) / (10. + step as f64);
        let keep = decay.min(growing).powf(every as f64);
        let pairs = self.pairs.iter();
        let pairs: Vec<_> = pairs
            .map(|pair| (&pair.average, pair.parameter.as_tensor()))
            .collect();
        Ok(moving_averages(&pairs, keep)?)
    }

    /// Runs something with the averages in the place of the parameters.
    pub(super) fn with_averages<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let own = self.pairs.iter();
        let own: Vec<Tensor> = own
            .map(|pair| pair.parameter.as_detached_tensor().copy())
            .collect::<candle_core::Result<_>>()?;
        self.assign()?;
        let result = run();
        for (pair, own) in self.pairs.iter().zip(&own) {
            pair.parameter.set(own)?;
        }
        result
    }

    /// Makes the averages the parameters.
    pub(super) fn assign(&self) -> Result<()> {
        for pair in &self.pairs {
            pair.parameter.set(&pair.average.as_detached_tensor())?;
        }
        Ok(())
    }

    /// The averages by name.
    pub(super) fn averages(&self) -> impl Iterator<Item = (&str, Tensor)> {
        let pairs = self.pairs.iter();
        pairs.map(|pair| (pair.name.as_str(), pair.average.as_detached_tensor()))
    }

    /// Takes averages that were saved; those without one are the parameters as they are now.
    pub(super) fn restore(&self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        for pair in &self.pairs {
            let value = match saved.get(&pair.name) {
                Some(saved) => saved.clone(),
                None => pair.parameter.as_detached_tensor(),
            };
            pair.average.set(&value)?;
        }
        Ok(())
    }
}
