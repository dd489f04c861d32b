#![doc = include_str!("../README.md")]

mod checkpoint;
mod error;
mod history;
mod loss;
mod number;
mod optimizer;
mod report;
mod schedule;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointWriter, Checkpoints, Objective, Retention};
pub use error::{Error, Result};
pub use history::{History, HistoryFile, Record, Split};
pub use loss::{
    ClassMean, CrossEntropy, Dice, Focal, JaccardReduction, Loss, LossConfig, LossKind, LossTerm,
    LossValue, Lovasz, Region, SoftJaccard, SumLoss, Tversky,
};
pub use optimizer::{Adam, AdamConfig, External, Optimizer};
pub use report::{
    Palette, PredictionSample, draw_curves, draw_overlay, draw_predictions, draw_sheet,
};
pub use schedule::Schedule;
pub use trainer::{
    Callback, LogLines, Outcome, Plan, ProgressBars, StepReport, StopSignal, Trainer,
    TrainerConfig, console_progress, evaluate, predict_labels,
};
