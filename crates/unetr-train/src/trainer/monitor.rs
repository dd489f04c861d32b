use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use unetr_metrics::Average;

use super::callback::StepReport;
use super::evaluate::scalar;
use crate::{Error, LossValue, Result};

/// Updates over which the speed is measured.
const WINDOW: usize = 20;

/// An update whose loss is still on the device.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) epoch: u64,
    pub(super) step: u64,
    pub(super) learning_rate: f64,
    pub(super) indices: Vec<usize>,
    pub(super) value: LossValue,
}

/// Reads losses, finds those that are not finite, and keeps means and speed.
#[derive(Debug)]
pub(super) struct Monitor {
    pending: Vec<Pending>,
    /// Means over the current epoch, by name.
    pub(super) means: BTreeMap<String, Average>,
    steps: u64,
    recent: VecDeque<(Instant, usize)>,
}

impl Monitor {
    pub(super) fn new(steps: u64, means: BTreeMap<String, Average>) -> Self {
        Self {
            pending: Vec::new(),
            means,
            steps,
            recent: VecDeque::from([(Instant::now(), 0)]),
        }
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.pending.push(pending);
    }

    /// Forgets the time since the last update, which was spent on something else.
    pub(super) fn restart_clock(&mut self) {
        self.recent = VecDeque::from([(Instant::now(), 0)]);
    }

    /// Reads the losses of all updates since the last reading; reports the latest one.
    pub(super) fn read(&mut self) -> Result<Option<StepReport>> {
        let mut report = None;
        for pending in std::mem::take(&mut self.pending) {
            // host sync: reads the loss
            let loss = scalar(&pending.value.total)?;
            if !loss.is_finite() {
                return Err(Error::NotFinite {
                    loss,
                    step: pending.step,
                    epoch: pending.epoch,
                    learning_rate: pending.learning_rate,
                    indices: pending.indices,
                });
            }
            let mut parts = Vec::new();
            for (name, part) in pending.value.parts {
                parts.push((name, scalar(&part)?));
            }
            self.means
                .entry("running_loss".into())
                .or_default()
                .update(loss);
            self.recent
                .push_back((Instant::now(), pending.indices.len()));
            while self.recent.len() > WINDOW {
                self.recent.pop_front();
            }
            let (images_per_second, time_left) = self.speed(pending.step);
            report = Some(StepReport {
                epoch: pending.epoch,
                step: pending.step,
                learning_rate: pending.learning_rate,
                loss,
                parts,
                images_per_second,
                time_left,
            });
        }
        Ok(report)
    }

    fn speed(&self, step: u64) -> (f64, Duration) {
        let Some(&(start, _)) = self.recent.front() else {
            return (0., Duration::ZERO);
        };
        let seconds = start.elapsed().as_secs_f64().max(1e-9);
        let updates = self.recent.len() - 1;
        let images: usize = self.recent.iter().skip(1).map(|&(_, images)| images).sum();
        let left = self.steps.saturating_sub(step) as f64 * seconds / updates.max(1) as f64;
        let left = Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX);
        (images as f64 / seconds, left)
    }
}
