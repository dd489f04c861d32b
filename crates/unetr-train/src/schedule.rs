use std::f64::consts::PI;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The learning rate as a function of the number of updates made so far.
///
/// Update `i`, counted from 0, uses [`lr(i)`](Self::lr): the schedule is evaluated at the count
/// *before* the update, as in Optax. After its last step a schedule stays at its end.
///
/// As data it is tagged: `{"kind": "linear", "from": 0.003, "to": 0.0, "steps": 3550}`.
///
/// # Examples
/// ```
/// # use unetr_train::Schedule;
/// let schedule = Schedule::tutorial(10);
/// assert_eq!(schedule.lr(0), 0.003);
/// assert_eq!(schedule.lr(10), 0.0);
/// assert_eq!(schedule.to_string(), "linear from 0.003 to 0 in 10 steps");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    Constant {
        /// The learning rate.
        lr: f64,
    },
    /// A straight line, [`optax.linear_schedule`](https://optax.readthedocs.io/en/latest/api/optimizer_schedules.html).
    Linear {
        /// The learning rate of the first update.
        from: f64,
        /// The learning rate after `steps` updates.
        to: f64,
        /// The length of the line in updates.
        steps: u64,
    },
    /// A straight line from 0 up to the peak, then half a cosine down to the end
    /// ([SGDR](https://arxiv.org/abs/1608.03983) without restarts,
    /// [`optax.warmup_cosine_decay_schedule`](https://optax.readthedocs.io/en/latest/api/optimizer_schedules.html)).
    WarmupCosine {
        /// The learning rate after the warm-up.
        peak: f64,
        /// The length of the warm-up in updates; 0 for none.
        warmup_steps: u64,
        /// The length of all in updates, warm-up included.
        steps: u64,
        /// The learning rate after `steps` updates.
        end: f64,
    },
}

impl Schedule {
    /// The tutorial's: from 0.003 down to 0 in a straight line over `steps` updates.
    pub fn tutorial(steps: u64) -> Self {
        Self::Linear {
            from: 0.003,
            to: 0.0,
            steps,
        }
    }

    /// Half a cosine from `peak` down to 0 over `steps` updates, the first twentieth of them a
    /// warm-up: what a transformer of this size trains well with.
    pub fn warmup_cosine(peak: f64, steps: u64) -> Self {
        Self::WarmupCosine {
            peak,
            warmup_steps: steps / 20,
            steps,
            end: 0.0,
        }
    }

    /// The learning rate of update `step`, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        match *self {
            Self::Constant { lr } => lr,
            Self::Linear { from, to, steps } => (from - to) * (1.0 - fraction(step, steps)) + to,
            Self::WarmupCosine {
                peak, warmup_steps, ..
            } if step < warmup_steps => peak * fraction(step, warmup_steps),
            Self::WarmupCosine {
                peak,
                warmup_steps,
                steps,
                end,
            } => {
                let progress = fraction(step - warmup_steps, steps.saturating_sub(warmup_steps));
                end + (peak - end) * 0.5 * (1.0 + (PI * progress).cos())
            }
        }
    }

    /// Whether the schedule makes sense.
    ///
    /// # Errors
    /// When a learning rate is negative or not finite, or when the warm-up is as long as all.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::Constant { lr } => check_rate("the learning rate", lr),
            Self::Linear { from, to, steps } => {
                check_rate("the first learning rate", from)?;
                check_rate("the last learning rate", to)?;
                check_steps(steps)
            }
            Self::WarmupCosine {
                peak,
                warmup_steps,
                steps,
                end,
            } => {
                check_rate("the peak learning rate", peak)?;
                check_rate("the last learning rate", end)?;
                check_steps(steps)?;
                if warmup_steps < steps {
                    return Ok(());
                }
                Err(Error::Config {
                    what: "the warm-up of the schedule",
                    found: format!("{warmup_steps} of {steps} steps"),
                    expected: "fewer steps than the whole schedule",
                })
            }
        }
    }
}

/// `step / steps`, at most 1.
fn fraction(step: u64, steps: u64) -> f64 {
    if step >= steps {
        1.0
    } else {
        step as f64 / steps as f64
    }
}

fn check_rate(what: &'static str, rate: f64) -> Result<()> {
    if rate.is_finite() && rate >= 0.0 {
        return Ok(());
    }
    Err(Error::Config {
        what,
        found: rate.to_string(),
        expected: "a finite number of at least 0",
    })
}

fn check_steps(steps: u64) -> Result<()> {
    if steps > 0 {
        return Ok(());
    }
    Err(Error::Config {
        what: "the length of the schedule",
        found: "0 steps".to_owned(),
        expected: "at least 1 step",
    })
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { lr } => write!(f, "constant {lr}"),
            Self::Linear { from, to, steps } => {
                write!(f, "linear from {from} to {to} in {steps} steps")
            }
            Self::WarmupCosine {
                peak,
                warmup_steps,
                steps,
                end,
            } => write!(
                f,
                "warm-up to {peak} in {warmup_steps} steps, cosine to {end} at step {steps}"
            ),
        }
    }
}
