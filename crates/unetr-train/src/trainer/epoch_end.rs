//! What follows the last update of an epoch: evaluations, the record, the checkpoint, and whether to go on.

use std::time::Instant;

use unetr_data::Position;
use unetr_model::with_precision;

use super::builder::Trainer;
use super::callback::Callback;
use super::evaluate::evaluate;
use super::fit::Run;
use super::state::RunState;
use crate::{Error, Evaluation, Record, Result, Split};

impl Trainer<'_> {
    /// Evaluates where it is time to, writes the record and the checkpoint.
    pub(super) fn end_epoch(
        &mut self,
        run: &mut Run,
        (started, speed): (Instant, f64),
    ) -> Result<()> {
        let complete = run.state.steps_of_epoch >= run.steps_per_epoch;
        let last = run.state.step >= run.steps;
        let epoch = run.state.loader.epoch + 1;
        let means = run.monitor.means.iter();
        let means = means.map(|(name, mean)| (name.clone(), mean.compute()));
        let mut record = Record::new(epoch, run.state.step).metrics(Split::Train, means);
        record.lr = self.schedule.lr(run.state.step.saturating_sub(1));
        record.images_per_second = speed;
        if complete {
            run.state.loader = Position { epoch, samples: 0 };
            run.state.steps_of_epoch = 0;
            run.monitor.means.clear();
        }
        let evaluates = last || self.config.evaluates_after(epoch);
        if evaluates {
            record = match &run.ema {
                Some(ema) => ema.with_averages(|| self.evaluate(record))?,
                None => self.evaluate(record)?,
            };
            self.note_progress(&mut run.state, &record)?;
        }
        record.seconds = started.elapsed().as_secs_f64();
        self.each_callback(|callback| callback.on_epoch(&record));
        if let Some(file) = &mut self.history_file {
            file.append(record.clone())?;
        }
        let saver = self.checkpoints.as_ref();
        let keeps = complete && saver.is_some_and(|saver| saver.keeps_epoch(epoch));
        if evaluates || keeps {
            self.save(run, Some(&record))?;
        }
        self.history.push(record);
        Ok(())
    }

    fn evaluate(&mut self, mut record: Record) -> Result<Record> {
        let Some(metrics) = &mut self.metrics else {
            return Ok(record);
        };
        for &(split, loader) in &self.evaluations {
            let batches = loader.batches_per_epoch() as u64;
            let callbacks = &mut self.callbacks;
            callbacks
                .iter_mut()
                .for_each(|callback| callback.on_evaluation_start(split, batches));
            let device = self.parameters.device();
            let on_batch = || {
                callbacks.iter_mut().for_each(Callback::on_evaluation_batch);
            };
            let scores = with_precision(self.config.precision, || {
                evaluate(self.model, &*self.loss, loader, metrics, device, on_batch)
            })?;
            if let (Split::Validation, Some(path)) = (split, &self.evaluation_file) {
                Evaluation::new(record.epoch, record.step, split, metrics).write(path)?;
            }
            record = record.metrics(split, scores);
        }
        Ok(record)
    }

    /// Compares an evaluation with the best one before.
    fn note_progress(&self, state: &mut RunState, record: &Record) -> Result<()> {
        let Some(stopping) = &self.config.early_stopping else {
            return Ok(());
        };
        let metrics = record.flat_metrics();
        let Some(&value) = metrics.get(&stopping.metric) else {
            let names: Vec<&str> = metrics.keys().map(String::as_str).collect();
            return Err(Error::Setting {
                what: "early_stopping.metric".to_owned(),
                found: format!(
                    "{:?}, evaluations give {}",
                    stopping.metric,
                    names.join(", ")
                ),
                expected: "one of these",
            });
        };
        let patience = &mut state.patience;
        let improves = |best| stopping.objective.improves(value, best, stopping.min_delta);
        if patience.best.is_none_or(improves) && !value.is_nan() {
            (patience.best, patience.evaluations) = (Some(value), 0);
        } else {
            patience.evaluations += 1;
        }
        Ok(())
    }

    pub(super) fn is_patient(&self, state: &RunState) -> bool {
        let stopping = self.config.early_stopping.as_ref();
        stopping.is_none_or(|stopping| state.patience.evaluations < stopping.patience.max(1))
    }
}
