#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod check;
mod checkpoint;
mod date;
mod error;
mod files;
mod history;
mod loss;
mod lr_finder;
mod number;
mod optimizer;
mod recipe;
mod report;
mod run_folder;
mod schedule;
mod tensorboard;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointWriter, Checkpoints, Objective, Retention, RunLock};
pub use error::{Error, Result};
pub use history::{History, HistoryFile, Record, Split};
pub use loss::{
    ClassMean, CrossEntropy, Dice, Focal, JaccardReduction, Loss, LossConfig, LossKind, LossTerm,
    LossValue, Lovasz, Region, SoftJaccard, SumLoss, Tversky,
};
pub use lr_finder::{LrFinderConfig, LrPoint, LrSweep, SweepEnd, find_learning_rate};
pub use optimizer::{
    AdadeltaConfig, AdagradConfig, Adam, AdamConfig, AdamWConfig, AdamaxConfig, CandleAdamConfig,
    CandleAdamWConfig, DecayKind, DecayOn, External, GroupRule, Muon, MuonConfig, NAdamConfig,
    Optimizer, OptimizerConfig, ParameterGroups, ParameterSettings, RAdamConfig, RmsPropConfig,
    SgdConfig, Training,
};
pub use recipe::Recipe;
pub use report::{
    Gallery, GalleryEntry, Picture, PredictionSample, Rank, Report, ScoredSample, draw_curves,
    draw_predictions, draw_sheet,
};
pub use run_folder::{BuildProfile, Environment, Evaluation, RunFolder};
pub use schedule::{RunSpan, Schedule, ScheduleConfig, SchedulePart};
pub use tensorboard::{EventWriter, TensorBoard};
pub use trainer::{
    Callback, DatasetScores, EarlyStopping, EmaConfig, ImageScore, LogLines, Outcome, Plan,
    ProgressBars, StepReport, StopSignal, Trainer, TrainerConfig, console_progress, evaluate,
    evaluate_images,
};
