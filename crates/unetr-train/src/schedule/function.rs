use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The learning rate as a function of the number of updates made so far.
///
/// Update `i`, counted from 0, uses [`lr(i)`](Self::lr): the schedule is evaluated at the count
/// *before* the update, as in Optax. After its last step a schedule stays at its end.
///
/// As data it is tagged: `{"kind": "linear", "from": 0.003, "to": 0.0, "steps": 3550}`. It counts in
/// updates; [`ScheduleConfig`](crate::ScheduleConfig) is relative to the length of a run.
///
/// # Examples
/// ```
/// # use unetr_train::Schedule;
/// let schedule = Schedule::tutorial(10);
/// assert_eq!(schedule.lr(0), 0.003);
/// assert_eq!(schedule.lr(10), 0.0);
/// assert_eq!(schedule.to_string(), "linear from 0.003 to 0 in 10 steps");
/// ```
///
/// Schedules are put together:
/// ```
/// # use unetr_train::Schedule;
/// let cycle = Schedule::Cosine { from: 0.01, to: 0.0, steps: 100 };
/// let schedule = cycle.clone().for_steps(100).then(cycle).warmup(10);
/// assert_eq!((schedule.lr(5), schedule.lr(10), schedule.lr(110)), (0.005, 0.01, 0.01));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
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
    /// Half a cosine, [`torch.optim.lr_scheduler.CosineAnnealingLR`](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html).
    Cosine {
        /// The learning rate of the first update.
        from: f64,
        /// The learning rate after `steps` updates.
        to: f64,
        /// The length of the curve in updates.
        steps: u64,
    },
    /// A power of the part that is left: the "poly" rate of DeepLab with a power of 0.9
    /// (<https://arxiv.org/abs/1606.00915>, section 4.1).
    Polynomial {
        /// The learning rate of the first update.
        from: f64,
        /// The learning rate after `steps` updates.
        to: f64,
        /// The length of the curve in updates.
        steps: u64,
        /// The power; 1 is a straight line.
        power: f64,
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
    /// Half a cosine up and half a cosine down, far below the start: one cycle (Smith and Topin 2017,
    /// <https://arxiv.org/abs/1708.07120>) as [`torch.optim.lr_scheduler.OneCycleLR`](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html)
    /// draws it, where the last update has the end's rate.
    OneCycle {
        /// The learning rate of the first update.
        start: f64,
        /// The highest learning rate.
        peak: f64,
        /// The learning rate of the last update.
        end: f64,
        /// The part of the cycle that goes up, more than 0 and less than 1.
        rise: f64,
        /// The length of the cycle in updates.
        steps: u64,
    },
    /// A straight line up to the first rate of another schedule, and then that one.
    Warmup {
        /// The learning rate of the first update; 0 by default.
        #[serde(default)]
        from: f64,
        /// The length of the warm-up in updates.
        steps: u64,
        /// What follows, counted from its own beginning.
        then: Box<Schedule>,
    },
    /// One schedule after the other, each from its own beginning
    /// ([`optax.join_schedules`](https://optax.readthedocs.io/en/latest/api/optimizer_schedules.html)).
    Chain {
        /// The schedules that end.
        parts: Vec<SchedulePart>,
        /// The last one.
        then: Box<Schedule>,
    },
}

/// The beginning of a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulePart {
    /// How many updates it is followed for.
    pub steps: u64,
    /// The schedule.
    pub schedule: Schedule,
}

impl SchedulePart {
    /// Goes on with another schedule.
    pub fn then(self, next: Schedule) -> Schedule {
        match next {
            Schedule::Chain { mut parts, then } => {
                parts.insert(0, self);
                Schedule::Chain { parts, then }
            }
            next => Schedule::Chain {
                parts: vec![self],
                then: Box::new(next),
            },
        }
    }
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

    /// One cycle of PyTorch's proportions: from `peak / 25` up over three tenths of the updates, then
    /// down to `peak / 250,000`.
    pub fn one_cycle(peak: f64, steps: u64) -> Self {
        Self::OneCycle {
            start: peak / 25.,
            peak,
            end: peak / 25. / 1e4,
            rise: 0.3,
            steps,
        }
    }

    /// Puts a straight line from 0 before the schedule.
    #[must_use]
    pub fn warmup(self, steps: u64) -> Self {
        Self::Warmup {
            from: 0.,
            steps,
            then: Box::new(self),
        }
    }

    /// The first updates of the schedule, to go on with another one.
    pub fn for_steps(self, steps: u64) -> SchedulePart {
        SchedulePart {
            steps,
            schedule: self,
        }
    }

    /// The learning rate of update `step`, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        match *self {
            Self::Constant { lr } => lr,
            Self::Linear { from, to, steps } => line(from, to, fraction(step, steps)),
            Self::Cosine { from, to, steps } => cosine(from, to, fraction(step, steps)),
            Self::Polynomial {
                from,
                to,
                steps,
                power,
            } => (from - to) * (1.0 - fraction(step, steps)).powf(power) + to,
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
                cosine(peak, end, progress)
            }
            Self::OneCycle {
                start,
                peak,
                end,
                rise,
                steps,
            } => {
                // PyTorch's: both phases end one update early, and the first may end between two.
                let (top, last) = (rise * steps as f64 - 1.0, steps as f64 - 1.0);
                let step = (step as f64).min(last);
                if top > 0.0 && step <= top {
                    cosine(start, peak, step / top)
                } else {
                    cosine(peak, end, (step - top) / (last - top))
                }
            }
            Self::Warmup {
                from,
                steps,
                ref then,
            } => {
                if step < steps {
                    line(from, then.lr(0), fraction(step, steps))
                } else {
                    then.lr(step - steps)
                }
            }
            Self::Chain {
                ref parts,
                ref then,
            } => {
                let mut step = step;
                for part in parts {
                    if step < part.steps {
                        return part.schedule.lr(step);
                    }
                    step -= part.steps;
                }
                then.lr(step)
            }
        }
    }
}

fn line(from: f64, to: f64, progress: f64) -> f64 {
    (from - to) * (1.0 - progress) + to
}

/// Half a cosine.
fn cosine(from: f64, to: f64, progress: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (PI * progress).cos())
}

/// `step / steps`, at most 1.
fn fraction(step: u64, steps: u64) -> f64 {
    if step >= steps {
        1.0
    } else {
        step as f64 / steps as f64
    }
}
