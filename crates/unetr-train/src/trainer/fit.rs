use std::time::Instant;

use serde::Serialize;
use unetr_data::DataLoader;
use unetr_metrics::MetricSet;
use unetr_model::{Mode, Parameters, SegmentationModel, with_precision};

use super::callback::{Callback, Plan, StepReport};
use super::evaluate::evaluate;
use super::forward::forward;
use super::monitor::{Monitor, Pending};
use super::resume::{Position, restore, save};
use super::{StopSignal, TrainerConfig};
use crate::error::At;
use crate::{Checkpoints, History, HistoryFile, Loss, Optimizer, Record, Result, Schedule, Split};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All its updates were made.
    Finished,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

/// Trains a network.
///
/// A run is a function of its configuration: the order of samples and every random draw follow
/// from seeds, and a run that was stopped and resumed makes the same updates as one that was not.
///
/// # Examples
/// ```no_run
/// # use candle_core::{DType, Device};
/// # use unetr_data::{Compose, DataLoader, DataLoaderConfig, FolderDataset};
/// # use unetr_metrics::MetricSet;
/// # use unetr_model::{Parameters, Unetr, UnetrConfig};
/// # use unetr_train::{Adam, AdamConfig, Schedule, SumLoss, Trainer, TrainerConfig};
/// # fn run(train: FolderDataset, val: FolderDataset) -> Result<(), Box<dyn std::error::Error>> {
/// let cfg = UnetrConfig::small();
/// let parameters = Parameters::new(42, DType::F32, &Device::Cpu);
/// let model = Unetr::new(&cfg, parameters.var_builder())?;
///
/// let size = cfg.image_size;
/// let train = DataLoader::new(train, Compose::tutorial_train(size), DataLoaderConfig::train(16))?;
/// let val = DataLoader::new(val, Compose::tutorial_val(size), DataLoaderConfig::evaluation(16))?;
///
/// let config = TrainerConfig { epochs: 10, ..Default::default() };
/// let steps = config.steps(train.batches_per_epoch() as u64);
/// let optimizer = Adam::new(parameters.trainable(), AdamConfig::default())?;
/// let metrics = MetricSet::new(["pet", "background", "boundary"])?;
/// let mut trainer = Trainer::new(
///     &model,
///     &parameters,
///     SumLoss::tutorial(),
///     optimizer,
///     Schedule::warmup_cosine(1e-3, steps),
///     config,
/// )?
/// .evaluation(metrics)
/// .validation(&val);
/// trainer.fit(&train)?;
/// println!("{:?}", trainer.history().last());
/// # Ok(())
/// # }
/// ```
pub struct Trainer<'a> {
    model: &'a dyn SegmentationModel,
    parameters: &'a Parameters,
    loss: Box<dyn Loss + 'a>,
    optimizer: Box<dyn Optimizer + 'a>,
    schedule: Schedule,
    config: TrainerConfig,
    metrics: Option<MetricSet>,
    evaluations: Vec<(Split, &'a DataLoader)>,
    checkpoints: Option<Checkpoints>,
    attachments: Vec<(String, serde_json::Value)>,
    history_file: Option<HistoryFile>,
    history: History,
    callbacks: Vec<Box<dyn Callback + 'a>>,
    stop: StopSignal,
    resume: Resume,
}

/// Whether a run begins at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resume {
    Never,
    FromLast,
}

impl std::fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("config", &self.config)
            .field("schedule", &self.schedule)
            .field("optimizer", &self.optimizer.describe())
            .finish_non_exhaustive()
    }
}

impl<'a> Trainer<'a> {
    /// A run that trains `parameters`, which are `model`'s.
    ///
    /// # Errors
    /// When the configuration or the schedule makes no sense.
    pub fn new(
        model: &'a dyn SegmentationModel,
        parameters: &'a Parameters,
        loss: impl Loss + 'a,
        optimizer: impl Optimizer + 'a,
        schedule: Schedule,
        config: TrainerConfig,
    ) -> Result<Self> {
        config.validate()?;
        schedule.validate()?;
        Ok(Self {
            model,
            parameters,
            loss: Box::new(loss),
            optimizer: Box::new(optimizer),
            schedule,
            config,
            metrics: None,
            evaluations: Vec::new(),
            checkpoints: None,
            attachments: Vec::new(),
            history_file: None,
            history: History::default(),
            callbacks: Vec::new(),
            stop: StopSignal::default(),
            resume: Resume::Never,
        })
    }

    /// What evaluations measure beside the loss.
    #[must_use]
    pub fn evaluation(mut self, metrics: MetricSet) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Evaluates on the training set too, through a loader without augmentation.
    #[must_use]
    pub fn train_evaluation(mut self, loader: &'a DataLoader) -> Self {
        self.evaluations.push((Split::Train, loader));
        self
    }

    /// Evaluates on a validation set.
    #[must_use]
    pub fn validation(mut self, loader: &'a DataLoader) -> Self {
        self.evaluations.push((Split::Validation, loader));
        self
    }

    /// Saves a checkpoint after every evaluation and at the end or the stop of the run.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Puts a JSON file into every checkpoint: `config.json` with the model's configuration makes
    /// it loadable on its own.
    ///
    /// # Errors
    /// When the value can't be JSON.
    pub fn attach(mut self, name: &str, value: &impl Serialize) -> Result<Self> {
        let value = serde_json::to_value(value).at(name.as_ref())?;
        self.attachments.push((name.to_owned(), value));
        Ok(self)
    }

    /// Goes on from the last checkpoint, if there is one.
    ///
    /// The history is read from the [`history_file`](Self::history_file); checkpoints do not hold
    /// it, so that without that file it begins anew.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.resume = Resume::FromLast;
        self
    }

    /// Writes the history to a file.
    #[must_use]
    pub fn history_file(mut self, file: HistoryFile) -> Self {
        self.history_file = Some(file);
        self
    }

    /// Lets a callback watch the run.
    #[must_use]
    pub fn callback(mut self, callback: Box<dyn Callback + 'a>) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Stops before the next update when the signal is raised; an evaluation is finished first.
    #[must_use]
    pub fn stop_signal(mut self, stop: StopSignal) -> Self {
        self.stop = stop;
        self
    }

    /// What happened so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The checkpoints of the run.
    pub fn saved(&self) -> Option<&Checkpoints> {
        self.checkpoints.as_ref()
    }

    /// Trains to the end, or until a stop is asked for.
    ///
    /// # Errors
    /// When a sample cannot be read, the loss is not finite, or a checkpoint cannot be written.
    /// Checkpoints are then as they were. A loss is looked at before its update where it is read
    /// (see [`TrainerConfig::log_every`]): if each is, one that is not finite leaves parameters and
    /// optimiser as they were before that update, up to running statistics of batch normalisation;
    /// if not, updates since the last reading are made.
    pub fn fit(&mut self, train: &DataLoader) -> Result<Outcome> {
        let batches_per_epoch = train.batches_per_epoch() as u64;
        let steps = self.config.steps(batches_per_epoch);
        if !self.config.precision.is_supported() {
            log::warn!("this processor has no bf16 products (AVX512_BF16): computing in f32");
        }
        let mut position = self.start(batches_per_epoch)?;
        let plan = Plan {
            epochs: self.config.epochs,
            batches_per_epoch,
            steps,
            first_step: position.step,
        };
        self.callbacks
            .iter_mut()
            .for_each(|callback| callback.on_start(&plan));
        let mut monitor = Monitor::new(steps, position.means.clone());
        let mut outcome = Outcome::Finished;
        while position.step < steps {
            let started = Instant::now();
            let images = self.train_epoch(train, &mut position, &mut monitor, steps)?;
            if self.stop.is_raised() && position.step < steps {
                outcome = Outcome::Stopped;
                break;
            }
            let seconds = started.elapsed().as_secs_f64();
            (position.epoch, position.batch) = (position.epoch + 1, 0);
            let last = position.step >= steps;
            self.end_epoch(
                &mut position,
                &mut monitor,
                last,
                (started, images as f64 / seconds),
            )?;
            monitor.restart_clock();
        }
        if outcome == Outcome::Stopped {
            position.means.clone_from(&monitor.means);
            self.save_stopped(&position)?;
        }
        self.callbacks
            .iter_mut()
            .for_each(|callback| callback.on_end());
        Ok(outcome)
    }

    /// Where the run begins: at the beginning or at the last checkpoint.
    fn start(&mut self, batches_per_epoch: u64) -> Result<Position> {
        let beginning = Position {
            step: 0,
            epoch: 0,
            batch: 0,
            means: Default::default(),
            seed: self.config.seed,
            batches_per_epoch,
            optimizer: self.optimizer.describe(),
            schedule: self.schedule.clone(),
        };
        let last = match (&self.checkpoints, self.resume) {
            (Some(checkpoints), Resume::FromLast) => checkpoints.last(),
            _ => None,
        };
        let position = match last {
            Some(last) => restore(last, &beginning, self.parameters, &mut *self.optimizer)?,
            None => beginning,
        };
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.rewind(position.step)?;
        }
        if let Some(file) = &mut self.history_file {
            file.rewind(position.step)?;
            self.history = file.history().clone();
        }
        Ok(Position {
            schedule: self.schedule.clone(),
            ..position
        })
    }

    /// Trains on the rest of an epoch; gives the number of images.
    fn train_epoch(
        &mut self,
        train: &DataLoader,
        position: &mut Position,
        monitor: &mut Monitor,
        steps: u64,
    ) -> Result<usize> {
        let mut images = 0;
        let mut batches = train.epoch_from(position.epoch, position.batch);
        while position.step < steps && !self.stop.is_raised() {
            let Some(batch) = batches.next() else { break };
            let batch = batch?.to_device(self.parameters.device())?;
            let learning_rate = self.schedule.lr(position.step);
            // Odd multiples of the step never meet between seeds by a small offset.
            let seed = self.config.seed ^ position.step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (loss, value) = forward(
                self.model,
                &*self.loss,
                (&batch.images, &batch.masks),
                Mode::Train { seed },
                self.config.precision,
            )?;
            images += batch.len();
            position.step += 1;
            position.batch += 1;
            let (epoch, step, indices) = (position.epoch + 1, position.step, batch.indices);
            monitor.push(Pending {
                epoch,
                step,
                learning_rate,
                indices,
                value,
            });
            // Before the update, which a loss that is not finite would spoil the parameters with.
            let report = if step.is_multiple_of(self.config.log_every) {
                monitor.read()?
            } else {
                None
            };
            self.optimizer.minimise(&loss, learning_rate)?;
            self.report(report);
        }
        let report = monitor.read()?;
        self.report(report);
        Ok(images)
    }

    fn report(&mut self, report: Option<StepReport>) {
        if let Some(report) = report {
            self.callbacks
                .iter_mut()
                .for_each(|callback| callback.on_step(&report));
        }
    }

    /// Evaluates where it is time to, writes the record and the checkpoint.
    fn end_epoch(
        &mut self,
        position: &mut Position,
        monitor: &mut Monitor,
        last: bool,
        (started, images_per_second): (Instant, f64),
    ) -> Result<()> {
        let means = std::mem::take(&mut monitor.means);
        position.means.clear();
        let means = means
            .iter()
            .map(|(name, mean)| (name.clone(), mean.compute()));
        let mut record = Record::new(position.epoch, position.step).metrics(Split::Train, means);
        record.lr = self.schedule.lr(position.step - 1);
        record.images_per_second = images_per_second;
        let evaluates = last || self.config.evaluates_after(position.epoch);
        if evaluates {
            record = self.evaluate(record)?;
        }
        record.seconds = started.elapsed().as_secs_f64();
        self.callbacks
            .iter_mut()
            .for_each(|callback| callback.on_epoch(&record));
        if let Some(file) = &mut self.history_file {
            file.append(record.clone())?;
        }
        if evaluates {
            self.save(position, Some(&record))?;
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
                callbacks
                    .iter_mut()
                    .for_each(|callback| callback.on_evaluation_batch());
            };
            let scores = with_precision(self.config.precision, || {
                evaluate(self.model, &*self.loss, loader, metrics, device, on_batch)
            })?;
            record = record.metrics(split, scores);
        }
        Ok(record)
    }

    /// Saves where the run stopped, unless that is where the last checkpoint is: after an
    /// evaluation, whose metrics that checkpoint has.
    fn save_stopped(&mut self, position: &Position) -> Result<()> {
        let last = self.checkpoints.as_ref().and_then(Checkpoints::last);
        match last {
            Some(last) if last.step() == position.step => Ok(()),
            _ => self.save(position, None),
        }
    }

    fn save(&mut self, position: &Position, record: Option<&Record>) -> Result<()> {
        let Some(checkpoints) = &mut self.checkpoints else {
            return Ok(());
        };
        let optimizer = &*self.optimizer;
        save(
            checkpoints,
            position,
            record,
            self.parameters,
            optimizer,
            &self.attachments,
        )
    }
}
