use std::path::PathBuf;

use serde::Serialize;
use unetr_data::DataLoader;
use unetr_metrics::MetricSet;
use unetr_model::{Parameters, SegmentationModel};

use super::{Callback, StopSignal, TrainerConfig};
use crate::checkpoint::BackgroundSaver;
use crate::error::At;
use crate::{Checkpoints, History, HistoryFile, Loss, Optimizer, Result, Schedule, Split};

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
/// let steps = config.steps(train.batches_per_epoch());
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
/// .metrics(metrics)
/// .validation(&val);
/// trainer.fit(&train)?;
/// println!("{:?}", trainer.history().last());
/// # Ok(())
/// # }
/// ```
pub struct Trainer<'a> {
    pub(super) model: &'a dyn SegmentationModel,
    pub(super) parameters: &'a Parameters,
    pub(super) loss: Box<dyn Loss + 'a>,
    pub(super) optimizer: Box<dyn Optimizer + 'a>,
    pub(super) schedule: Schedule,
    pub(super) config: TrainerConfig,
    pub(super) metrics: Option<MetricSet>,
    pub(super) evaluations: Vec<(Split, &'a DataLoader)>,
    pub(super) checkpoints: Option<BackgroundSaver>,
    pub(super) attachments: Vec<(String, serde_json::Value)>,
    pub(super) history_file: Option<HistoryFile>,
    pub(super) evaluation_file: Option<PathBuf>,
    pub(super) history: History,
    pub(super) callbacks: Vec<Box<dyn Callback + 'a>>,
    pub(super) stop: StopSignal,
    pub(super) resume: Resume,
}

/// Whether a run begins at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
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
            evaluation_file: None,
            history: History::default(),
            callbacks: Vec::new(),
            stop: StopSignal::default(),
            resume: Resume::Never,
        })
    }

    /// What evaluations measure beside the loss; a trainer that evaluates needs it.
    #[must_use]
    pub fn metrics(mut self, metrics: MetricSet) -> Self {
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

    /// Saves a checkpoint after every evaluation, when [`TrainerConfig`] says so, and at the end or
    /// the stop of the run; also before a run ends because a sample can't be read.
    ///
    /// The run goes on while a checkpoint is written. Its folder is locked for the time of the run.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(BackgroundSaver::new(checkpoints));
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

    /// Writes the scores and the confusion matrix of the last evaluation of the validation set to a file, as an
    /// [`Evaluation`](crate::Evaluation).
    #[must_use]
    pub fn evaluation_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.evaluation_file = Some(path.into());
        self
    }

    /// Lets a callback watch the run.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
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
        self.checkpoints.as_ref()?.idle()
    }
}
