#![doc = include_str!("../README.md")]

mod checkpoint;
mod error;
mod history;
mod loss;
mod lr_finder;
mod number;
mod optimizer;
mod report;
mod schedule;
mod tensorboard;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointWriter, Checkpoints, Objective, Retention};
pub use error::{Error, Result};
pub use history::{History, HistoryFile, Record, Split};
pub use loss::{CrossEntropy, Loss, LossValue, SoftJaccard, SumLoss};
pub use lr_finder::{LrFinderConfig, LrPoint, LrSweep, SweepEnd, find_learning_rate};
pub use optimizer::{
    AdadeltaConfig, AdagradConfig, Adam, AdamConfig, AdamWConfig, AdamaxConfig, CandleAdamConfig,
    CandleAdamWConfig, DecayKind, DecayOn, External, GroupRule, NAdamConfig, Optimizer,
    OptimizerConfig, ParameterGroups, ParameterSettings, RAdamConfig, RmsPropConfig, SgdConfig,
    Training,
};
pub use report::{
    Palette, PredictionSample, draw_curves, draw_overlay, draw_predictions, draw_sheet,
};
pub use schedule::{RunSpan, Schedule, ScheduleConfig, SchedulePart};
pub use tensorboard::{EventWriter, TensorBoard};
pub use trainer::{
    Callback, LogLines, Outcome, Plan, ProgressBars, StepReport, StopSignal, Trainer,
    TrainerConfig, console_progress, evaluate, predict_labels,
};
