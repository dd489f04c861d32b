use std::time::Duration;

use crate::{Record, Split};

/// What a run is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Epochs in all.
    pub epochs: u64,
    /// Batches in an epoch.
    pub batches_per_epoch: usize,
    /// Updates in all.
    pub steps: u64,
    /// Updates already made, by the run that is resumed.
    pub first_step: u64,
}

/// What one update did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Updates made so far, this one included.
    pub step: u64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Its loss.
    pub loss: f64,
    /// The terms of the loss by name.
    pub parts: Vec<(String, f64)>,
    /// The Euclidean norm of the gradients of all parameters, after `clip_value` and before `clip_norm`; only where they
    /// are kept for that or for other batches, see [`TrainerConfig`](crate::TrainerConfig).
    pub gradient_norm: Option<f64>,
    /// Memory that the process holds, in bytes, where the system tells.
    pub memory: Option<u64>,
    /// Images trained on per second, over the last updates.
    pub images_per_second: f64,
    /// How long the remaining updates take at this rate, evaluations not counted.
    pub time_left: Duration,
}

/// Watches a run. Every method does nothing unless it is written.
///
/// # Examples
/// ```
/// use unetr_train::{Callback, StepReport};
///
/// /// Says what each update did.
/// struct Print;
///
/// impl Callback for Print {
///     fn on_step(&mut self, report: &StepReport) {
///         println!("update {}: loss {:.4}", report.step, report.loss);
///     }
/// }
/// ```
pub trait Callback {
    /// Before the first update.
    fn on_start(&mut self, _plan: &Plan) {}

    /// After an update whose loss was read.
    fn on_step(&mut self, _report: &StepReport) {}

    /// Before the evaluation of a split of so many batches.
    fn on_evaluation_start(&mut self, _split: Split, _batches: u64) {}

    /// After each batch of an evaluation.
    fn on_evaluation_batch(&mut self) {}

    /// After an epoch, and its evaluation if it has one.
    fn on_epoch(&mut self, _record: &Record) {}

    /// After the last update.
    fn on_end(&mut self) {}
}

impl<C: Callback + ?Sized> Callback for Box<C> {
    fn on_start(&mut self, plan: &Plan) {
        (**self).on_start(plan);
    }

    fn on_step(&mut self, report: &StepReport) {
        (**self).on_step(report);
    }

    fn on_evaluation_start(&mut self, split: Split, batches: u64) {
        (**self).on_evaluation_start(split, batches);
    }

    fn on_evaluation_batch(&mut self) {
        (**self).on_evaluation_batch();
    }

    fn on_epoch(&mut self, record: &Record) {
        (**self).on_epoch(record);
    }

    fn on_end(&mut self) {
        (**self).on_end();
    }
}
