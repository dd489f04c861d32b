//! What follows the last update of an epoch: evaluations, the record, the checkpoint, and whether to go on.

use std::collections::BTreeSet;
use std::time::Instant;

use unetr_data::Position;
use unetr_metrics::MetricSet;
use unetr_model::with_precision;

use super::builder::Trainer;
use super::callback::Callback;
use super::evaluate::evaluate;
use super::fit::Run;
use super::state::RunState;
use crate::checkpoint::BackgroundSaver;
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
            self.note_progress(&mut run.state, &record);
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
        let missing = if evaluates {
            self.check_metrics(&record)
        } else {
            Ok(())
        };
        self.history.push(record);
        missing
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

    /// Checks that evaluations give what the run goes by, or may give it: a class that is neither there nor predicted
    /// has no score. Of a split that is not evaluated there is no best checkpoint, and no error.
    fn check_metrics(&self, record: &Record) -> Result<()> {
        let mut known: BTreeSet<String> = record.flat_metrics().into_keys().collect();
        let scores = self.metrics.as_ref().map(MetricSet::names);
        for name in scores.into_iter().flatten() {
            let splits = self.evaluations.iter();
            known.extend(splits.map(|(split, _)| format!("{split}/{name}")));
        }
        let evaluated = |split| {
            let mut splits = self.evaluations.iter();
            split == Split::Train || splits.any(|&(other, _)| other == split)
        };
        let foreseen = |metric: &str| {
            let named = metric.split_once('/').map_or(metric, |(split, _)| split);
            let mut splits = [Split::Train, Split::Validation, Split::Test].into_iter();
            let split = splits.find(|split| split.to_string() == named);
            split.is_none_or(evaluated)
        };
        let best = self.checkpoints.as_ref().and_then(BackgroundSaver::metric);
        let best = best.filter(|metric| foreseen(metric));
        let stopping = self.config.early_stopping.as_ref();
        let stopping = stopping.map(|stopping| stopping.metric.as_str());
        let named = [
            ("metric of the checkpoints", best),
            ("early_stopping.metric", stopping),
        ];
        for (what, metric) in named {
            if let Some(metric) = metric.filter(|&metric| !known.contains(metric)) {
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                return Err(Error::Setting {
                    what: what.to_owned(),
                    found: format!("{metric:?}, evaluations give {}", names.join(", ")),
                    expected: "one of these",
                });
            }
        }
        Ok(())
    }

    /// Compares an evaluation with the best one before, where it gave what is watched.
    fn note_progress(&self, state: &mut RunState, record: &Record) {
        let Some(stopping) = &self.config.early_stopping else {
            return;
        };
        let metrics = record.flat_metrics();
        let Some(&value) = metrics.get(&stopping.metric) else {
            return;
        };
        let patience = &mut state.patience;
        let improves = |best| stopping.objective.improves(value, best, stopping.min_delta);
        if patience.best.is_none_or(improves) && !value.is_nan() {
            (patience.best, patience.evaluations) = (Some(value), 0);
        } else {
            patience.evaluations += 1;
        }
    }

    pub(super) fn is_patient(&self, state: &RunState) -> bool {
        let stopping = self.config.early_stopping.as_ref();
        stopping.is_none_or(|stopping| state.patience.evaluations < stopping.patience.max(1))
    }
}
