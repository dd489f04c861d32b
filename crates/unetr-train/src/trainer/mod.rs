//! The training loop: epochs of updates, evaluation, checkpoints, resume.

mod batches;
mod builder;
mod callback;
mod config;
mod ema;
mod epoch_end;
mod evaluate;
mod fit;
mod forward;
mod gradients;
mod loss_scale;
mod monitor;
mod progress;
mod resume;
mod saving;
mod state;
mod stop;
mod upload;

pub use builder::Trainer;
pub use callback::{Callback, Plan, StepReport};
pub use config::{EarlyStopping, EmaConfig, TrainerConfig};
pub(crate) use evaluate::scalar;
pub use evaluate::{DatasetScores, ImageScore, evaluate, evaluate_images};
pub use fit::Outcome;
pub(crate) use forward::{Pass, train_mode};
pub use progress::{LogLines, ProgressBars, console_progress};
pub use stop::StopSignal;
