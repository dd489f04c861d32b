use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};
use unetr_data::DataLoader;

use super::batches::Batches;
use super::builder::{Resume, Trainer};
use super::callback::{Callback, Plan, StepReport};
use super::ema::Ema;
use super::forward::{Pass, train_mode};
use super::gradients::{Gradients, Update};
use super::monitor::{Monitor, Pending};
use super::resume::restore;
use super::state::RunState;
use crate::check::check;
use crate::{Error, Result, RunLock};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All its updates were made, or its epochs are over, which have fewer where samples are skipped.
    Finished,
    /// Its evaluations no longer got better, see [`EarlyStopping`](crate::EarlyStopping).
    StoppedEarly,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

impl<'a> Trainer<'a> {
    /// Trains to the end, or until a stop is asked for.
    ///
    /// With [`TrainerConfig::ema`](crate::TrainerConfig::ema) the parameters are the averages after a
    /// run that was not stopped.
    ///
    /// # Errors
    /// When a sample cannot be read, the loss is not finite, a checkpoint cannot be written, the
    /// checkpoint to resume from belongs to another run or cannot be read, another process writes to its folder, or
    /// there is a run already and this one does not [`resume`](Self::resume) it. Checkpoints are then as they were, and
    /// where a sample cannot be read, one of the last update has been added. The first evaluation ends the run, once its
    /// checkpoint is written, where it does not give the metric of the [`Retention`](crate::Retention) or of
    /// [`EarlyStopping`](crate::EarlyStopping). A loss is looked at before its update where it is read (see
    /// [`TrainerConfig::log_every`](crate::TrainerConfig::log_every)): if each is, one that is not finite
    /// leaves parameters and optimiser as they were before that update, up to running statistics of
    /// batch normalisation; if not, updates since the last reading are made. The norm of gradients, where it is
    /// measured, is looked at before every update.
    pub fn fit(&mut self, train: &DataLoader) -> Result<Outcome> {
        let precision = self.config.precision;
        if !precision.is_supported(self.parameters.device()) {
            log::warn!("this device does not compute in {precision}: computing in f32");
        }
        let what = "what evaluations measure";
        let measures = self.metrics.is_some() || self.evaluations.is_empty();
        check(
            what,
            &"nothing",
            measures,
            "a MetricSet, given to Trainer::metrics",
        )?;
        let _lock = self.lock()?;
        let mut run = self.start(train)?;
        let plan = Plan {
            epochs: self.config.epochs,
            batches_per_epoch: train.batches_per_epoch(),
            steps: run.steps,
            first_step: run.state.step,
        };
        self.each_callback(|callback| callback.on_start(&plan));
        let outcome = self.run(train, &mut run);
        let saved = match &outcome {
            Ok(Outcome::Stopped) | Err(Error::Data(_)) => self.save_stopped(&mut run),
            Ok(_) => run.ema.as_ref().map_or(Ok(()), Ema::assign),
            Err(_) => Ok(()),
        };
        let written = self.wait();
        let outcome = outcome?;
        saved.and(written)?;
        self.each_callback(Callback::on_end);
        Ok(outcome)
    }

    fn run(&mut self, train: &DataLoader, run: &mut Run) -> Result<Outcome> {
        // Where broken samples are skipped, epochs may have fewer updates than were planned.
        while run.state.step < run.steps && run.state.loader.epoch < self.config.epochs {
            // Where a run that is resumed has stopped early, it stays so.
            if !self.is_patient(&run.state) {
                return Ok(Outcome::StoppedEarly);
            }
            let started = Instant::now();
            let images = self.train_epoch(train, run)?;
            if self.stop.is_raised() && run.state.step < run.steps {
                return Ok(Outcome::Stopped);
            }
            let images_per_second = images as f64 / started.elapsed().as_secs_f64();
            self.end_epoch(run, (started, images_per_second))?;
            run.monitor.restart_clock();
        }
        Ok(Outcome::Finished)
    }

    /// Takes the folder of the checkpoints.
    fn lock(&mut self) -> Result<Option<RunLock>> {
        match &mut self.checkpoints {
            Some(saver) => saver.wait()?.lock().map(Some),
            None => Ok(None),
        }
    }

    /// Where the run begins: at the beginning or at the last checkpoint.
    fn start(&mut self, train: &DataLoader) -> Result<Run> {
        let settings = self.settings(train)?;
        let ema = match self.config.ema {
            Some(config) => Some(Ema::new(config, self.parameters)?),
            None => None,
        };
        let mut state = RunState::beginning(settings);
        if let Some(saver) = &mut self.checkpoints {
            let checkpoints = saver.wait()?;
            let last = match self.resume {
                Resume::FromLast => checkpoints.last_readable()?,
                Resume::Never if checkpoints.are_there() => {
                    let path = checkpoints.folder().to_owned();
                    return Err(Error::Occupied { path });
                }
                Resume::Never => None,
            };
            if let Some(last) = last {
                let saved = RunState::read(last, train.config().batch_size)?;
                saved.check(&state.run, last)?;
                restore(last, self.parameters, ema.as_ref(), &mut *self.optimizer)?;
                state = RunState {
                    patience: saved.patience_in(&state.run),
                    run: state.run,
                    ..saved
                };
            }
            checkpoints.rewind(state.step)?;
            if self.optimizer.state()?.is_none() {
                log::warn!(
                    "{} does not show its state, which no checkpoint has: a run that is resumed goes on with a fresh one",
                    self.optimizer.describe()
                );
            }
        }
        if let Some(file) = &mut self.history_file {
            if self.resume == Resume::Never && file.history().last().is_some() {
                let path = file.path().to_owned();
                return Err(Error::Occupied { path });
            }
            match state.step {
                0 => file.begin_anew()?,
                step => file.rewind(step)?,
            }
            self.history = file.history().clone();
        }
        let batches_per_epoch = train.batches_per_epoch();
        let steps = self.config.steps(batches_per_epoch);
        Ok(Run {
            monitor: Monitor::new(steps, state.means.clone()),
            steps,
            steps_per_epoch: self.config.steps_per_epoch(batches_per_epoch),
            state,
            ema,
            last_save: Instant::now(),
        })
    }

    /// What makes this run the run that it is.
    fn settings(&self, train: &DataLoader) -> Result<Value> {
        let mut loader = json(train.config())?;
        loader["batches"] = train.batches_per_epoch().into();
        loader["samples"] = train.samples().to_string().into();
        loader["transforms"] = train.transforms().clone();
        let evaluations = self.evaluations.iter().map(|(split, loader)| {
            let (samples, transforms) = (loader.samples().to_string(), loader.transforms());
            (
                split.to_string(),
                json!({"samples": samples, "transforms": transforms}),
            )
        });
        let files = self.attachments.iter().cloned();
        Ok(json!({
            "trainer": json(&self.config)?,
            "schedule": json(&self.schedule)?,
            "optimizer": self.optimizer.describe(),
            "loss": format!("{:?}", self.loss),
            "loader": loader,
            "evaluations": evaluations.collect::<serde_json::Map<_, _>>(),
            "files": files.collect::<serde_json::Map<_, _>>(),
        }))
    }

    /// Trains on the rest of an epoch; gives the number of images.
    fn train_epoch(&mut self, train: &DataLoader, run: &mut Run) -> Result<usize> {
        let mut images = 0;
        let device = self.parameters.device();
        let mut batches = Batches::new(train, run.state.loader, device);
        while run.state.step < run.steps
            && run.state.steps_of_epoch < run.steps_per_epoch
            && !self.stop.is_raised()
        {
            match self.update(&mut batches, run)? {
                0 => {
                    run.state.steps_of_epoch = run.steps_per_epoch;
                    break;
                }
                count => images += count,
            }
            if self.is_time_to_save(run) {
                self.save(run, None)?;
            }
        }
        let report = run.monitor.read()?;
        self.report(report);
        Ok(images)
    }

    /// Makes one update; gives the number of its images, 0 at the end of the epoch.
    fn update(&mut self, batches: &mut Batches<'_>, run: &mut Run) -> Result<usize> {
        let state = &mut run.state;
        let mut gradients = Gradients::default();
        let (mut indices, mut values, mut direct) = (Vec::new(), Vec::new(), None);
        let factor = match self.config.scales_loss() {
            true => state.loss_scale.factor,
            false => 1.,
        };
        for part in 0..self.config.accumulate {
            let Some(batch) = batches.next() else { break };
            let batch = batch?;
            let number = state.step * self.config.accumulate + part;
            let pass = Pass {
                mode: train_mode(self.config.seed, number),
                precision: self.config.precision,
                auxiliary_weight: self.config.auxiliary_weight,
            };
            let (loss, value) =
                pass.forward(self.model, &*self.loss, (&batch.images, &batch.masks))?;
            indices.extend(batch.indices);
            values.push(value);
            if self.config.scales_loss() {
                gradients.add(&(loss * factor)?, self.parameters)?;
            } else if self.config.collects_gradients() {
                gradients.add(&loss, self.parameters)?;
            } else {
                direct = Some(Update::Direct(loss));
            }
        }
        let images = indices.len();
        if images == 0 {
            return Ok(0);
        }
        if !self.parameters.device().is_cpu() {
            // While the device computes, and before the host waits for it.
            batches.fetch_ahead();
        }
        let learning_rate = self.schedule.lr(state.step);
        let update = match direct {
            Some(update) => update,
            None => {
                let bounded = gradients.finish(&self.config, self.parameters, factor)?;
                match !self.config.scales_loss() || state.loss_scale.accepts(bounded.norm) {
                    true => Update::Bounded(bounded),
                    false => Update::LeftOut,
                }
            }
        };
        let gradient_norm = update.gradient_norm();
        run.monitor.push(Pending {
            epoch: state.loader.epoch + 1,
            step: state.step + 1,
            learning_rate,
            indices,
            values,
            gradient_norm,
        });
        // Before the update, which a loss that is not finite would spoil the parameters with.
        let is_spoilt = gradient_norm.is_some_and(|norm| !norm.is_finite());
        let report = match is_spoilt || (state.step + 1).is_multiple_of(self.config.log_every) {
            true => run.monitor.read()?,
            false => None,
        };
        update.apply(&mut *self.optimizer, learning_rate)?;
        state.step += 1;
        state.steps_of_epoch += 1;
        state.loader = Batches::position(batches);
        if let Some(ema) = &run.ema {
            ema.update(state.step)?;
        }
        self.report(report);
        Ok(images)
    }

    pub(super) fn each_callback(&mut self, tell: impl FnMut(&mut Box<dyn Callback + 'a>)) {
        self.callbacks.iter_mut().for_each(tell);
    }

    pub(super) fn report(&mut self, report: Option<StepReport>) {
        if let Some(report) = report {
            self.each_callback(|callback| callback.on_step(&report));
        }
    }
}

/// A run that is under way.
pub(super) struct Run {
    pub(super) state: RunState,
    pub(super) monitor: Monitor,
    pub(super) ema: Option<Ema>,
    /// Updates in all.
    pub(super) steps: u64,
    pub(super) steps_per_epoch: u64,
    pub(super) last_save: Instant,
}

/// A setting as JSON.
fn json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(Error::SettingsJson)
}
