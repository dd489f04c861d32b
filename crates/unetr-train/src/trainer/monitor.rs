use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use unetr_metrics::Average;

use super::callback::StepReport;
use super::evaluate::scalar;
use crate::{Error, LossValue, Result};

/// Readings over which the speed is measured.
const WINDOW: usize = 20;

/// An update whose losses are still on the device.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) epoch: u64,
    pub(super) step: u64,
    pub(super) learning_rate: f64,
    pub(super) indices: Vec<usize>,
    /// Of each of its batches.
    pub(super) values: Vec<LossValue>,
    /// Where it was needed.
    pub(super) gradient_norm: Option<f64>,
}

/// Reads losses, finds those that are not finite, and keeps means and speed.
#[derive(Debug)]
pub(super) struct Monitor {
    pending: Vec<Pending>,
    /// Means over the current epoch, by name.
    pub(super) means: BTreeMap<String, Average>,
    steps: u64,
    recent: VecDeque<Reading>,
}

/// When losses were read.
#[derive(Debug, Clone, Copy)]
struct Reading {
    time: Instant,
    /// Images and updates since the reading before.
    images: usize,
    updates: usize,
}

impl Reading {
    fn now(images: usize, updates: usize) -> Self {
        Self {
            time: Instant::now(),
            images,
            updates,
        }
    }
}

impl Monitor {
    pub(super) fn new(steps: u64, means: BTreeMap<String, Average>) -> Self {
        Self {
            pending: Vec::new(),
            means,
            steps,
            recent: VecDeque::from([Reading::now(0, 0)]),
        }
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.pending.push(pending);
    }

    /// Forgets the time since the last update, which was spent on something else.
    pub(super) fn restart_clock(&mut self) {
        self.recent = VecDeque::from([Reading::now(0, 0)]);
    }

    /// Reads the losses of all updates since the last reading; reports the latest one.
    pub(super) fn read(&mut self) -> Result<Option<StepReport>> {
        let mut report = None;
        let all = std::mem::take(&mut self.pending);
        let images = all.iter().map(|pending| pending.indices.len()).sum();
        let updates = all.len();
        for pending in all {
            let (loss, parts) = mean_loss(&pending.values)?;
            let norm = pending.gradient_norm;
            let numbers = [("loss", Some(loss)), ("gradient norm", norm)];
            for (what, value) in numbers {
                if let Some(value) = value.filter(|value| !value.is_finite()) {
                    return Err(Error::NotFinite {
                        what,
                        value,
                        step: pending.step,
                        epoch: pending.epoch,
                        learning_rate: pending.learning_rate,
                        indices: pending.indices,
                    });
                }
            }
            let mut note = |name: &str, value| match self.means.get_mut(name) {
                Some(mean) => mean.update(value),
                None => self.means.entry(name.to_owned()).or_default().update(value),
            };
            note("running_loss", loss);
            if let Some(norm) = norm {
                note("gradient_norm", norm);
            }
            report = Some(StepReport {
                epoch: pending.epoch,
                step: pending.step,
                learning_rate: pending.learning_rate,
                loss,
                parts,
                gradient_norm: norm,
                memory: memory_stats::memory_stats().map(|memory| memory.physical_mem as u64),
                images_per_second: 0.,
                time_left: Duration::ZERO,
            });
        }
        if let Some(report) = &mut report {
            self.recent.push_back(Reading::now(images, updates));
            while self.recent.len() > WINDOW {
                self.recent.pop_front();
            }
            (report.images_per_second, report.time_left) = self.speed(report.step);
        }
        Ok(report)
    }

    fn speed(&self, step: u64) -> (f64, Duration) {
        let Some(first) = self.recent.front() else {
            return (0., Duration::ZERO);
        };
        let seconds = first.time.elapsed().as_secs_f64().max(1e-9);
        let since = self.recent.iter().skip(1);
        let updates: usize = since.clone().map(|reading| reading.updates).sum();
        let images: usize = since.map(|reading| reading.images).sum();
        let left = self.steps.saturating_sub(step) as f64 * seconds / updates.max(1) as f64;
        let left = Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX);
        (images as f64 / seconds, left)
    }
}

/// The mean of the losses of several batches, and of their parts.
fn mean_loss(values: &[LossValue]) -> Result<(f64, Vec<(String, f64)>)> {
    let (mut loss, mut parts) = (0., Vec::<(String, f64)>::new());
    let share = 1. / values.len() as f64;
    for (index, value) in values.iter().enumerate() {
        // host sync: reads the loss
        loss += share * scalar(&value.total)?;
        for (part, (name, value)) in value.parts.iter().enumerate() {
            let value = share * scalar(value)?;
            match parts.get_mut(part) {
                Some((_, sum)) if index > 0 => *sum += value,
                _ => parts.push((name.clone(), value)),
            }
        }
    }
    Ok((loss, parts))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread::sleep;

    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn the_speed_does_not_depend_on_how_often_losses_are_read() {
        let mut monitor = Monitor::new(100, BTreeMap::new());
        let loss = Tensor::new(1f32, &Device::Cpu).unwrap();
        for reading in 1..=3 {
            sleep(Duration::from_millis(50));
            for update in 1..=10 {
                monitor.push(Pending {
                    epoch: 1,
                    step: (reading - 1) * 10 + update,
                    learning_rate: 0.1,
                    indices: vec![0; 4],
                    values: vec![LossValue::single("loss", loss.clone())],
                    gradient_norm: None,
                });
            }
            let report = monitor.read().unwrap().unwrap();
            // At least 50 ms for 40 images and 10 updates.
            assert!(report.images_per_second <= 800., "{report:?}");
            let left = (100 - 10 * reading) as f64 * 0.005;
            assert!(report.time_left.as_secs_f64() >= left, "{report:?}");
        }
    }
}
