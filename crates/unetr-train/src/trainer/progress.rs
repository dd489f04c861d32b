use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::callback::{Callback, Plan, StepReport};
use crate::{Record, Split};

/// Progress for the console: bars on a terminal, plain lines otherwise.
pub fn console_progress() -> Box<dyn Callback> {
    if std::io::stderr().is_terminal() {
        Box::new(ProgressBars::default())
    } else {
        Box::new(LogLines::default())
    }
}

/// One line about an epoch: losses and scores of every split that has them.
fn epoch_line(record: &Record) -> String {
    let mut line = format!("epoch {} (step {})", record.epoch, record.step);
    let names = [
        ("running_loss", "running loss"),
        ("loss", "loss"),
        ("mean_iou", "mean IoU"),
        ("accuracy", "accuracy"),
    ];
    for split in [Split::Train, Split::Validation] {
        let mut scores = String::new();
        for (name, label) in names {
            if let Some(value) = record.get(split, name) {
                let _ = write!(scores, " {label} {value:.4}");
            }
        }
        if !scores.is_empty() {
            let _ = write!(line, " | {split}:{scores}");
        }
    }
    let _ = write!(
        line,
        " | {:.1} images/s, {:.1} s",
        record.images_per_second, record.seconds
    );
    line
}

/// One line about an update.
fn step_line(report: &StepReport) -> String {
    let mut line = format!("loss {:.4}", report.loss);
    for (name, part) in &report.parts {
        let _ = write!(line, " {name} {part:.4}");
    }
    if let Some(norm) = report.gradient_norm {
        let _ = write!(line, " gradient {norm:.2}");
    }
    let _ = write!(
        line,
        " lr {:.2e} {:.1} images/s",
        report.learning_rate, report.images_per_second
    );
    if let Some(memory) = report.memory {
        let _ = write!(line, " {:.1} GB", memory as f64 / 1e9);
    }
    line
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// Bars on the standard error stream, for a terminal.
#[derive(Debug, Default)]
pub struct ProgressBars {
    training: Option<ProgressBar>,
    evaluation: Option<ProgressBar>,
    epochs: u64,
}

impl ProgressBars {
    fn bar(length: u64, template: &str) -> ProgressBar {
        let bar = ProgressBar::new(length);
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style.progress_chars("━╸ ")),
            Err(_) => bar,
        }
    }
}

impl Callback for ProgressBars {
    fn on_start(&mut self, plan: &Plan) {
        self.epochs = plan.epochs;
        let bar = Self::bar(plan.steps, "{prefix} {bar:24} {pos}/{len} {msg}");
        bar.set_position(plan.first_step);
        self.training = Some(bar);
    }

    fn on_step(&mut self, report: &StepReport) {
        if let Some(bar) = &self.training {
            bar.set_prefix(format!("epoch {}/{}", report.epoch, self.epochs));
            bar.set_position(report.step);
            bar.set_message(format!(
                "{}, {} left",
                step_line(report),
                duration(report.time_left)
            ));
        }
    }

    fn on_evaluation_start(&mut self, split: Split, batches: u64) {
        let bar = Self::bar(batches, "{prefix} {bar:24} {pos}/{len}");
        bar.set_prefix(format!("evaluating {split}"));
        self.evaluation = Some(bar);
    }

    fn on_evaluation_batch(&mut self) {
        if let Some(bar) = &self.evaluation {
            bar.inc(1);
        }
    }

    fn on_epoch(&mut self, record: &Record) {
        if let Some(bar) = self.evaluation.take() {
            bar.finish_and_clear();
        }
        if let Some(bar) = &self.training {
            bar.println(epoch_line(record));
        }
    }

    fn on_end(&mut self) {
        if let Some(bar) = self.training.take() {
            bar.finish_and_clear();
        }
    }
}

/// Plain lines on the standard error stream, for a file or a pipe: one every tenth of an epoch and
/// one after every epoch.
#[derive(Debug, Default)]
pub struct LogLines {
    every: u64,
    /// At which the next line is due.
    next: u64,
    steps: u64,
}

impl Callback for LogLines {
    fn on_start(&mut self, plan: &Plan) {
        self.every = (plan.steps / plan.epochs.max(1) / 10).max(1);
        self.next = plan.first_step + self.every;
        self.steps = plan.steps;
    }

    fn on_step(&mut self, report: &StepReport) {
        if report.step >= self.next {
            self.next = report.step + self.every;
            let left = duration(report.time_left);
            eprintln!(
                "step {}/{} {}, {left} left",
                report.step,
                self.steps,
                step_line(report)
            );
        }
    }

    fn on_epoch(&mut self, record: &Record) {
        eprintln!("{}", epoch_line(record));
    }
}
