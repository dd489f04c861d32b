use serde::{Deserialize, Serialize};

use super::LrFinderConfig;

/// Points at the end that a suggestion leaves out, where the loss has begun to diverge: fastai's.
const LEFT_OUT_AT_END: usize = 5;

/// How the loss went while the learning rate rose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LrSweep {
    /// The losses by learning rate, the lowest rate first.
    pub points: Vec<LrPoint>,
    /// Why it ended.
    pub end: SweepEnd,
    /// How it was made.
    pub config: LrFinderConfig,
}

/// The loss at a learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LrPoint {
    /// The learning rate.
    pub lr: f64,
    /// The loss of the batch before the update with that rate.
    pub loss: f64,
    /// The moving average of the losses, corrected for its beginning.
    pub smoothed: f64,
}

/// Why a search for the learning rate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepEnd {
    /// The highest rate was reached.
    Finished,
    /// The loss rose far above its lowest value, or was not finite.
    Diverged,
}

impl LrSweep {
    pub(super) fn new(config: LrFinderConfig) -> Self {
        Self {
            points: Vec::new(),
            end: SweepEnd::Finished,
            config,
        }
    }

    /// Takes the next loss; says whether the search goes on.
    pub(super) fn push(&mut self, lr: f64, loss: f64) -> SweepEnd {
        if !loss.is_finite() {
            self.end = SweepEnd::Diverged;
            return self.end;
        }
        let keep = self.config.smoothing;
        // An average from 0 on is too low by `1 - keep^n`, as Adam's are.
        let correction = |count: usize| 1. - keep.powf(count as f64);
        let count = self.points.len();
        let last = self.points.last();
        let average = last.map_or(0., |point| point.smoothed * correction(count));
        let average = keep * average + (1. - keep) * loss;
        let smoothed = average / correction(count + 1);
        let lowest = self.points.iter().map(|point| point.smoothed);
        let lowest = lowest.fold(f64::INFINITY, f64::min);
        self.points.push(LrPoint { lr, loss, smoothed });
        if smoothed > self.config.divergence * lowest {
            self.end = SweepEnd::Diverged;
        }
        self.end
    }

    /// The learning rate at which the smoothed loss falls most steeply over the logarithm of the rate,
    /// fastai's `steep`. The first tenth of the search and its last points are left out as there, and
    /// what comes after the lowest loss, where only noise falls. Nothing where the loss never falls or
    /// the search was too short.
    ///
    /// It is where learning is fastest at once. A whole run needs a schedule that goes down from there,
    /// and often a peak of a third to a tenth of it.
    pub fn suggestion(&self) -> Option<f64> {
        let first = (self.config.steps / 10) as usize;
        let smoothed = self.points.iter().map(|point| point.smoothed).enumerate();
        let (lowest, _) = smoothed.min_by(|a, b| a.1.total_cmp(&b.1))?;
        let last = self.points.len().saturating_sub(LEFT_OUT_AT_END);
        let last = last.min(lowest + 1);
        let points = self.points.get(first..last)?;
        let slopes = points.windows(2).map(|pair| {
            let slope = (pair[1].smoothed - pair[0].smoothed) / (pair[1].lr / pair[0].lr).ln();
            (pair[0].lr, slope)
        });
        let (lr, slope) = slopes.min_by(|a, b| a.1.total_cmp(&b.1))?;
        (slope < 0.).then_some(lr)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sweep(config: LrFinderConfig, loss: impl Fn(f64) -> f64) -> LrSweep {
        let mut sweep = LrSweep::new(config);
        for step in 0..config.steps {
            let lr = config.lr(step);
            if sweep.push(lr, loss(lr)) == SweepEnd::Diverged {
                break;
            }
        }
        sweep
    }

    #[test]
    fn smoothing_weighs_older_losses_less() {
        let config = LrFinderConfig {
            smoothing: 0.9,
            steps: 20,
            ..LrFinderConfig::default()
        };
        let loss = |lr: f64| 2. + (lr.ln() * 3.).sin();
        let sweep = sweep(config, loss);
        for (n, point) in sweep.points.iter().enumerate() {
            let weights = (0..=n).map(|i| 0.9f64.powi((n - i) as i32));
            let total: f64 = weights.clone().sum();
            let losses = sweep.points.iter().map(|point| point.loss);
            let mean = weights.zip(losses).map(|(w, l)| w * l).sum::<f64>() / total;
            assert!((point.smoothed - mean).abs() < 1e-12, "{n}: {point:?}");
        }
    }

    #[test]
    fn the_steepest_descent_is_suggested() {
        let config = LrFinderConfig {
            smoothing: 0.,
            ..LrFinderConfig::default()
        };
        // A fall that is steepest at 1e-3, then a rise.
        let loss = |lr: f64| 2. - (2. * (lr / 1e-3).ln()).tanh() + 20. * lr;
        let sweep = sweep(config, loss);
        assert_eq!(sweep.end, SweepEnd::Diverged);
        assert!(sweep.points.len() < 100);
        let suggestion = sweep.suggestion().unwrap();
        // The rates are 20 % apart.
        assert!((suggestion / 1e-3).ln().abs() < 0.2, "{suggestion}");
    }

    #[test]
    fn no_fall_no_suggestion() {
        let config = LrFinderConfig::default();
        assert_eq!(sweep(config, |lr| 1. + lr).suggestion(), None);
        let short = LrFinderConfig { steps: 5, ..config };
        assert_eq!(sweep(short, |lr| -lr).suggestion(), None);
        let nan = sweep(config, |lr| if lr > 1e-3 { f64::NAN } else { 1. });
        assert_eq!(nan.end, SweepEnd::Diverged);
        assert!(nan.points.iter().all(|point| point.loss == 1.));
    }
}
