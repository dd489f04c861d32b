//! Flags of the examples that train.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use unetr::model::Precision;
use unetr::train::{Recipe, ScheduleConfig};

/// The seed of a run that is given none; the tutorial's.
const SEED: u64 = 12;

/// In what numbers a network multiplies.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionKind {
    F32,
    /// On a GPU: f32 rounded to TF32 in products of matrices.
    Tf32,
    /// bfloat16 in products of matrices, on a GPU also between operations; f32 elsewhere.
    Bf16,
    /// The same with f16, on a GPU.
    F16,
}

impl From<PrecisionKind> for Precision {
    fn from(kind: PrecisionKind) -> Self {
        match kind {
            PrecisionKind::F32 => Self::Full,
            PrecisionKind::Tf32 => Self::Tf32,
            PrecisionKind::Bf16 => Self::Bf16,
            PrecisionKind::F16 => Self::F16,
        }
    }
}

/// Flags of every training example.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Settings {
    /// A recipe in TOML or JSON; the flags below come on top of it.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Passes over the training set.
    #[arg(long)]
    pub(crate) epochs: Option<u64>,
    /// Ends the run after so many updates.
    #[arg(long)]
    pub(crate) max_steps: Option<u64>,
    /// Photos in a training batch; evaluation takes twice as many.
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    /// The highest learning rate.
    #[arg(long)]
    pub(crate) lr: Option<f64>,
    /// How the learning rate changes from and to its highest: constant, linear, cosine, polynomial, one_cycle.
    #[arg(long)]
    pub(crate) schedule: Option<String>,
    /// Any optimiser by name: adam, adamw, muon, sgd, nadam, radam, rmsprop and others; with its defaults, where the
    /// recipe has another one.
    #[arg(long)]
    pub(crate) optimizer: Option<String>,
    /// What initial weights, the order of photos and augmentations derive from; 12 by default, with `--config` the
    /// file's `trainer.seed`, which is 0 by default.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Threads that read and transform photos.
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: usize,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// bf16 is faster on processors with AMX, and on AMD's with AVX512_BF16.
    #[arg(long, value_enum)]
    pub(crate) precision: Option<PrecisionKind>,
    /// Evaluates after the first epoch, after every so many more, and after the last.
    #[arg(long)]
    pub(crate) eval_every: Option<u64>,
    /// The folder for configuration, history, checkpoints and pictures.
    #[arg(long, default_value = concat!("runs/", env!("CARGO_BIN_NAME")))]
    pub(crate) out: PathBuf,
    /// Weights of a Vision Transformer of timm or transformers to begin with, which also set the encoder's shape:
    /// safetensors or `.pth`, or a repository of the Hugging Face hub.
    #[arg(long)]
    pub(crate) encoder: Option<String>,
    /// Goes on from the last checkpoint in the folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Instead of training, lets the learning rate rise over 100 updates (or `--max-steps`), of one batch each and
    /// without bounds on gradients, and says where the loss falls most steeply.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) find_lr: bool,
}

impl Settings {
    /// The recipe of the file, or else this one, and the flags on top of it.
    pub(crate) fn recipe(&self, otherwise: Recipe) -> Result<Recipe> {
        let mut recipe = match &self.config {
            Some(path) => Recipe::read(path)?,
            None => otherwise,
        };
        if let Some(kind) = &self.schedule {
            let schedule: ScheduleConfig =
                with_kind(&recipe.schedule, kind).with_context(|| format!("--schedule {kind}"))?;
            recipe.schedule = schedule.with_peak(recipe.schedule.peak());
        }
        if let Some(kind) = &self.optimizer {
            recipe.optimizer = with_kind(&recipe.optimizer, kind)
                .with_context(|| format!("--optimizer {kind}"))?;
        }
        if let Some(lr) = self.lr {
            recipe.schedule = recipe.schedule.with_peak(lr);
        }
        recipe.batch_size = self.batch_size.unwrap_or(recipe.batch_size);
        let trainer = &mut recipe.trainer;
        trainer.epochs = self.epochs.unwrap_or(trainer.epochs);
        trainer.max_steps = self.max_steps.or(trainer.max_steps);
        trainer.eval_every = self.eval_every.unwrap_or(trainer.eval_every);
        trainer.precision = self.precision.map_or(trainer.precision, Into::into);
        let seed = if self.config.is_some() {
            trainer.seed
        } else {
            SEED
        };
        trainer.seed = self.seed.unwrap_or(seed);
        recipe.validate()?;
        Ok(recipe)
    }
}

/// The setting if it is of that kind already, or else that kind with its defaults.
fn with_kind<T: Serialize + DeserializeOwned>(setting: &T, kind: &str) -> serde_json::Result<T> {
    let setting = serde_json::to_value(setting)?;
    serde_json::from_value(match setting["kind"] == kind {
        true => setting,
        false => json!({ "kind": kind }),
    })
}
