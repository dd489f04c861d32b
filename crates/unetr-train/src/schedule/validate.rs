use super::Schedule;
use crate::Result;
use crate::check::{check, check_not_negative, check_positive};

impl Schedule {
    /// Whether the schedule makes sense.
    ///
    /// # Errors
    /// When a learning rate is negative or not finite, when something has no length, or when the
    /// warm-up is as long as all.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::Constant { lr } => check_not_negative("the learning rate", lr),
            Self::Linear { from, to, steps } | Self::Cosine { from, to, steps } => {
                check_ends(from, to)?;
                check_steps(steps)
            }
            Self::Polynomial {
                from,
                to,
                steps,
                power,
            } => {
                check_ends(from, to)?;
                check_steps(steps)?;
                check_power(power)
            }
            Self::WarmupCosine {
                peak,
                warmup_steps,
                steps,
                end,
            } => {
                check_not_negative("the peak learning rate", peak)?;
                check_not_negative("the last learning rate", end)?;
                check_steps(steps)?;
                check_warmup(warmup_steps, steps)
            }
            Self::OneCycle {
                start,
                peak,
                end,
                rise,
                steps,
            } => {
                check_ends(start, end)?;
                check_not_negative("the peak learning rate", peak)?;
                check_steps(steps)?;
                check_rise(rise)
            }
            Self::Warmup {
                from,
                steps,
                ref then,
            } => {
                check_not_negative("the first learning rate", from)?;
                check_steps(steps)?;
                then.validate()
            }
            Self::Chain {
                ref parts,
                ref then,
            } => {
                for part in parts {
                    check_steps(part.steps)?;
                    part.schedule.validate()?;
                }
                then.validate()
            }
        }
    }
}

fn check_ends(first: f64, last: f64) -> Result<()> {
    check_not_negative("the first learning rate", first)?;
    check_not_negative("the last learning rate", last)
}

pub(super) fn check_rise(rise: f64) -> Result<()> {
    check(
        "the rising part of the cycle",
        &rise,
        rise > 0.0 && rise < 1.0,
        "more than 0 and less than 1",
    )
}

pub(super) fn check_power(power: f64) -> Result<()> {
    check_positive("the power of the schedule", power)
}

pub(super) fn check_warmup(warmup: u64, steps: u64) -> Result<()> {
    check(
        "the warm-up of the schedule",
        &format_args!("{warmup} of {steps} steps"),
        warmup < steps,
        "fewer steps than the whole schedule",
    )
}

fn check_steps(steps: u64) -> Result<()> {
    let what = "the length of the schedule";
    check(what, &"0 steps", steps > 0, "at least 1 step")
}
