//! How far a run is, as its folder tells.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::History;

/// A run that wrote nothing for so long has stopped, unless its epochs are long.
const QUIET: Duration = Duration::from_secs(600);
/// Epochs of the longest so far.
const QUIET_EPOCHS: f64 = 3.0;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It wrote a moment ago.
    Running,
    /// It did all epochs or updates that its configuration asks for.
    Finished,
    /// It ended before, or was stopped.
    Stopped,
    /// It is quiet, and nobody said how many epochs it was to have.
    Ended,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Finished => "Finished",
            Self::Stopped => "Stopped",
            Self::Ended => "Ended",
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Status {
    pub(super) state: State,
    /// Epochs completed.
    pub(super) epochs: u64,
    /// Epochs it is to have, where the configuration says so.
    pub(super) planned: Option<u64>,
    /// The part that is done, from 0 to 1.
    pub(super) share: Option<f64>,
    /// Seconds it still needs, while it runs.
    pub(super) remaining: Option<f64>,
}

impl Status {
    /// `written` is when the folder last changed.
    pub(super) fn new(
        config: Option<&Value>,
        history: &History,
        written: Option<SystemTime>,
        now: SystemTime,
    ) -> Self {
        let (epochs, steps) = history
            .last()
            .map_or((0, 0), |last| (last.epoch, last.step));
        let planned = planned(config, "epochs");
        let max_steps = planned_steps(config);
        let part =
            |done: u64, all: Option<u64>| Some(done as f64 / all.filter(|&all| all > 0)? as f64);
        let share = [part(epochs, planned), part(steps, max_steps)]
            .into_iter()
            .flatten()
            .reduce(f64::max)
            .map(|share| share.min(1.0));

        let longest = history
            .records()
            .iter()
            .map(|record| record.seconds)
            .fold(0.0, f64::max);
        let patience = Duration::try_from_secs_f64(QUIET_EPOCHS * longest)
            .unwrap_or(QUIET)
            .max(QUIET);
        // A time ahead of this clock is now.
        let quiet = written.map_or(Duration::MAX, |written| {
            now.duration_since(written).unwrap_or_default()
        });
        let state = match share {
            Some(share) if share >= 1.0 => State::Finished,
            _ if quiet <= patience => State::Running,
            Some(_) => State::Stopped,
            None => State::Ended,
        };
        let spent: f64 = history.records().iter().map(|record| record.seconds).sum();
        let remaining = share
            .filter(|&share| state == State::Running && share > 0.0 && spent > 0.0)
            .map(|share| spent / share - spent);
        Self {
            state,
            epochs,
            planned,
            share,
            remaining,
        }
    }

    /// "12 of 30 epochs".
    pub(super) fn progress(&self) -> String {
        match (self.planned, self.epochs) {
            (Some(planned), done) => format!("{done} of {planned} epochs"),
            (None, 1) => "1 epoch".to_owned(),
            (None, done) => format!("{done} epochs"),
        }
    }
}

/// A whole number of the configuration, where the trainer's settings or the whole have it.
fn planned(config: Option<&Value>, name: &str) -> Option<u64> {
    let config = config?;
    let recipe = config
        .get("recipe")
        .and_then(|recipe| recipe.get("trainer"));
    [
        recipe,
        config.get("trainer"),
        config.get("settings"),
        Some(config),
    ]
    .into_iter()
    .flatten()
    .find_map(|settings| settings.get(name)?.as_u64())
}

fn planned_steps(config: Option<&Value>) -> Option<u64> {
    planned(config, "max_steps")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Record;

    fn status(config: &Value, epochs: u64, seconds: f64, quiet: u64) -> Status {
        let history = (1..=epochs)
            .map(|epoch| {
                let mut record = Record::new(epoch, 10 * epoch);
                record.seconds = seconds;
                record
            })
            .collect();
        let now = SystemTime::now();
        Status::new(
            Some(config),
            &history,
            Some(now - Duration::from_secs(quiet)),
            now,
        )
    }

    #[test]
    fn a_run_is_finished_when_its_epochs_or_its_steps_are_done() {
        let config = json!({"trainer": {"epochs": 3, "max_steps": null}});
        assert_eq!(status(&config, 3, 1.0, 0).state, State::Finished);
        let config = json!({"recipe": {"trainer": {"epochs": 3}}, "settings": {"epochs": null}});
        assert_eq!(status(&config, 3, 1.0, 0).state, State::Finished);
        let config = json!({"settings": {"epochs": 30, "max_steps": 20}});
        let status = status(&config, 2, 1.0, 0);
        assert_eq!((status.state, status.share), (State::Finished, Some(1.0)));
        assert_eq!(status.progress(), "2 of 30 epochs");
    }

    #[test]
    fn a_run_that_wrote_a_moment_ago_goes_on() {
        let config = json!({"epochs": 4});
        let running = status(&config, 1, 60.0, 30);
        assert_eq!(
            (running.state, running.remaining),
            (State::Running, Some(180.0))
        );
        assert_eq!(status(&config, 1, 60.0, 3600).state, State::Stopped);
        // An epoch of an hour leaves more time.
        assert_eq!(status(&config, 1, 3600.0, 3600).state, State::Running);
        assert_eq!(status(&json!({}), 1, 60.0, 3600).state, State::Ended);
        assert_eq!(status(&config, 0, 0.0, 30).remaining, None);
    }
}
