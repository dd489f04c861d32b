use std::fmt;

use serde::{Deserialize, Serialize};

use super::Schedule;
use super::validate::{check_power, check_rise, check_warmup};
use crate::Result;
use crate::check::{check_not_negative, check_part};

/// A [`Schedule`] relative to the length of a run.
///
/// As data it is tagged: `{"kind": "cosine", "peak": 0.001, "warmup": {"steps": 500}}`. What is left
/// out has its default. The default is [`Schedule::warmup_cosine`] with a peak of 0.001.
///
/// # Examples
/// ```
/// use unetr_train::{Schedule, ScheduleConfig};
///
/// let config: ScheduleConfig = serde_json::from_str(r#"{"kind": "cosine", "peak": 0.003}"#)?;
/// assert_eq!(config.schedule(3550)?, Schedule::warmup_cosine(0.003, 3550));
/// assert_eq!(config.to_string(), "cosine from 0.003 to 0 after a warm-up of 5 % of the run");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ScheduleConfig {
    /// Always the same after the warm-up.
    Constant {
        /// The learning rate; 0.001 by default.
        #[serde(default = "peak")]
        peak: f64,
        /// The straight line from 0 that comes first; a twentieth of the run by default.
        #[serde(default)]
        warmup: RunSpan,
    },
    /// A straight line.
    Linear {
        /// The highest learning rate; 0.001 by default.
        #[serde(default = "peak")]
        peak: f64,
        /// The straight line from 0 that comes first; a twentieth of the run by default.
        #[serde(default)]
        warmup: RunSpan,
        /// The learning rate at the end, as a part of the highest; 0 by default.
        #[serde(default)]
        end_factor: f64,
    },
    /// Half a cosine.
    Cosine {
        /// The highest learning rate; 0.001 by default.
        #[serde(default = "peak")]
        peak: f64,
        /// The straight line from 0 that comes first; a twentieth of the run by default.
        #[serde(default)]
        warmup: RunSpan,
        /// The learning rate at the end, as a part of the highest; 0 by default.
        #[serde(default)]
        end_factor: f64,
    },
    /// A power of the part that is left.
    Polynomial {
        /// The highest learning rate; 0.001 by default.
        #[serde(default = "peak")]
        peak: f64,
        /// The straight line from 0 that comes first; a twentieth of the run by default.
        #[serde(default)]
        warmup: RunSpan,
        /// The learning rate at the end, as a part of the highest; 0 by default.
        #[serde(default)]
        end_factor: f64,
        /// The power; 0.9 by default, DeepLab's.
        #[serde(default = "power")]
        power: f64,
    },
    /// Half a cosine up and half a cosine down, of PyTorch's proportions by default.
    OneCycle {
        /// The highest learning rate; 0.001 by default.
        #[serde(default = "peak")]
        peak: f64,
        /// The part of the run that goes up; 0.3 by default.
        #[serde(default = "rise")]
        rise: f64,
        /// The learning rate of the first update, as a part of the highest; 1/25 by default.
        #[serde(default = "cycle_start")]
        start_factor: f64,
        /// The learning rate of the last update, as a part of the highest; 1/250,000 by default.
        #[serde(default = "cycle_end")]
        end_factor: f64,
    },
}

fn peak() -> f64 {
    1e-3
}

fn power() -> f64 {
    0.9
}

fn rise() -> f64 {
    0.3
}

fn cycle_start() -> f64 {
    1. / 25.
}

fn cycle_end() -> f64 {
    1. / 25. / 1e4
}

/// A part of a run: `{"fraction": 0.05}` or `{"steps": 500}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunSpan {
    /// A part of all updates, from 0 to 1.
    Fraction(f64),
    /// So many updates.
    Steps(u64),
}

impl Default for RunSpan {
    /// A twentieth.
    fn default() -> Self {
        Self::Fraction(0.05)
    }
}

impl RunSpan {
    /// How many updates that is of a run, rounded down.
    fn of(self, steps: u64) -> u64 {
        match self {
            Self::Fraction(fraction) => (fraction * steps as f64) as u64,
            Self::Steps(steps) => steps,
        }
    }

    fn validate(self) -> Result<()> {
        match self {
            Self::Fraction(fraction) => check_part("the warm-up's fraction of the run", fraction),
            Self::Steps(_) => Ok(()),
        }
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Cosine {
            peak: peak(),
            warmup: RunSpan::default(),
            end_factor: 0.,
        }
    }
}

impl ScheduleConfig {
    /// The schedule of a run of so many updates.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), when the run has no update, or when its warm-up is as long as
    /// all.
    pub fn schedule(&self, steps: u64) -> Result<Schedule> {
        self.validate()?;
        let warmup = self.warmup().of(steps);
        check_warmup(warmup, steps)?;
        let rest = steps - warmup;
        let schedule = match *self {
            // The same function as a warm-up and a cosine, under the name that checkpoints know.
            Self::Cosine {
                peak, end_factor, ..
            } => {
                return Ok(Schedule::WarmupCosine {
                    peak,
                    warmup_steps: warmup,
                    steps,
                    end: peak * end_factor,
                });
            }
            Self::Constant { peak, .. } => Schedule::Constant { lr: peak },
            Self::Linear {
                peak, end_factor, ..
            } => Schedule::Linear {
                from: peak,
                to: peak * end_factor,
                steps: rest,
            },
            Self::Polynomial {
                peak,
                end_factor,
                power,
                ..
            } => Schedule::Polynomial {
                from: peak,
                to: peak * end_factor,
                steps: rest,
                power,
            },
            Self::OneCycle {
                peak,
                rise,
                start_factor,
                end_factor,
            } => Schedule::OneCycle {
                start: peak * start_factor,
                peak,
                end: peak * end_factor,
                rise,
                steps,
            },
        };
        Ok(match warmup {
            0 => schedule,
            warmup => schedule.warmup(warmup),
        })
    }

    /// The highest learning rate.
    pub fn peak(&self) -> f64 {
        match *self {
            Self::Constant { peak, .. }
            | Self::Linear { peak, .. }
            | Self::Cosine { peak, .. }
            | Self::Polynomial { peak, .. }
            | Self::OneCycle { peak, .. } => peak,
        }
    }

    /// The same with another highest learning rate.
    #[must_use]
    pub fn with_peak(mut self, lr: f64) -> Self {
        match &mut self {
            Self::Constant { peak, .. }
            | Self::Linear { peak, .. }
            | Self::Cosine { peak, .. }
            | Self::Polynomial { peak, .. }
            | Self::OneCycle { peak, .. } => *peak = lr,
        }
        self
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// When a learning rate, factor, fraction or power is out of range.
    pub fn validate(&self) -> Result<()> {
        self.warmup().validate()?;
        match *self {
            Self::Constant { peak, .. } => check_not_negative("the peak learning rate", peak),
            Self::Linear {
                peak, end_factor, ..
            }
            | Self::Cosine {
                peak, end_factor, ..
            } => check_peak_and_end(peak, end_factor),
            Self::Polynomial {
                peak,
                end_factor,
                power,
                ..
            } => {
                check_peak_and_end(peak, end_factor)?;
                check_power(power)
            }
            Self::OneCycle {
                peak,
                rise,
                start_factor,
                end_factor,
            } => {
                check_peak_and_end(peak, end_factor)?;
                check_not_negative("the first factor of the learning rate", start_factor)?;
                check_rise(rise)
            }
        }
    }

    fn warmup(&self) -> RunSpan {
        match *self {
            Self::Constant { warmup, .. }
            | Self::Linear { warmup, .. }
            | Self::Cosine { warmup, .. }
            | Self::Polynomial { warmup, .. } => warmup,
            Self::OneCycle { .. } => RunSpan::Steps(0),
        }
    }
}

fn check_peak_and_end(peak: f64, end_factor: f64) -> Result<()> {
    check_not_negative("the peak learning rate", peak)?;
    check_not_negative("the last factor of the learning rate", end_factor)
}

impl fmt::Display for ScheduleConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Constant { peak, .. } => write!(f, "constant {peak}")?,
            Self::Linear {
                peak, end_factor, ..
            } => write!(f, "linear from {peak} to {}", peak * end_factor)?,
            Self::Cosine {
                peak, end_factor, ..
            } => write!(f, "cosine from {peak} to {}", peak * end_factor)?,
            Self::Polynomial {
                peak,
                end_factor,
                power,
                ..
            } => write!(
                f,
                "polynomial of power {power} from {peak} to {}",
                peak * end_factor
            )?,
            Self::OneCycle {
                peak,
                rise,
                start_factor,
                end_factor,
            } => write!(
                f,
                "one cycle from {} to {peak} in {rise} of the run, then to {}",
                peak * start_factor,
                peak * end_factor
            )?,
        }
        match self.warmup() {
            RunSpan::Steps(0) => Ok(()),
            RunSpan::Steps(steps) => write!(f, " after a warm-up of {steps} steps"),
            RunSpan::Fraction(fraction) => {
                write!(f, " after a warm-up of {} % of the run", fraction * 100.)
            }
        }
    }
}
