//! When a run is saved, and what of it.

use std::time::Instant;

use super::builder::Trainer;
use super::fit::Run;
use super::resume::copies;
use crate::checkpoint::Snapshot;
use crate::{Record, Result};

impl Trainer<'_> {
    /// Whether a checkpoint within the epoch is due; where the epoch ends, there may be one anyway.
    pub(super) fn is_time_to_save(&self, run: &Run) -> bool {
        let config = &self.config;
        let minutes = config.save_every_minutes.map(|minutes| minutes * 60.);
        let due = config
            .save_every_steps
            .is_some_and(|steps| run.state.step.is_multiple_of(steps))
            || minutes.is_some_and(|seconds| run.last_save.elapsed().as_secs_f64() >= seconds);
        due && run.state.steps_of_epoch < run.steps_per_epoch && run.state.step < run.steps
    }

    /// Saves where the run stopped, unless that is where the last checkpoint is: after an
    /// evaluation, whose metrics that checkpoint has.
    pub(super) fn save_stopped(&mut self, run: &mut Run) -> Result<()> {
        let Some(saver) = &mut self.checkpoints else {
            return Ok(());
        };
        match saver.wait()?.last() {
            Some(last) if last.step() == run.state.step => Ok(()),
            _ => self.save(run, None),
        }
    }

    /// Begins to write a checkpoint.
    pub(super) fn save(&mut self, run: &mut Run, record: Option<&Record>) -> Result<()> {
        let Some(saver) = &mut self.checkpoints else {
            return Ok(());
        };
        // Losses that were not read yet belong to the means that are saved.
        let report = run.monitor.read()?;
        run.state.means.clone_from(&run.monitor.means);
        run.last_save = Instant::now();
        saver.save(Snapshot {
            step: run.state.step,
            epoch: run.state.loader.epoch,
            metrics: record.map(Record::flat_metrics).unwrap_or_default(),
            state: run.state.clone(),
            tensors: copies(self.parameters, run.ema.as_ref(), &*self.optimizer)?,
            attachments: self.attachments.clone(),
        })?;
        self.report(report);
        Ok(())
    }

    /// Waits until the last checkpoint is written.
    pub(super) fn wait(&mut self) -> Result<()> {
        match &mut self.checkpoints {
            Some(saver) => saver.wait().map(|_| ()),
            None => Ok(()),
        }
    }
}
